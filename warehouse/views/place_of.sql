-- question: which place (see dataset_files) is a file that Parquet was read from?
-- grain: a scalar: the last three parts of a path
create or replace macro place_of(filename) as array_to_string(string_split(filename, '/')[-3:], '/');
