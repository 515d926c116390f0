-- question: which file lies where, under the folder of all data?
-- grain: one row per file of a dataset; place is its path from that folder, wherever the folder may lie now
create or replace view dataset_files as
select
    dataset, stage, name, role, path, "rows", tokens, bytes,
    stage || '/' || name || '-' || left(dataset, 8) || '/' || path as place
from shards
inner join (select dataset, stage, name from datasets) using (dataset);
