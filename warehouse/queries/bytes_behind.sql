-- question: Which raw files made this perplexity, and how much of each?
-- grain: one row per source and raw file that training documents came from
-- param: id: fingerprint of an evaluation or a run, or its first digits
-- files: index
select place
from behind($id)
inner join dataset_files on dataset = id and kind = 'dataset'
where stage = 'tokens' and role = 'documents-train'
order by place;
-- files: documents
select place
from behind($id)
inner join dataset_files on dataset = id and kind = 'dataset'
where stage = 'ingest' and role = 'documents'
order by place;
-- answer
with used as (
    select id, sum(length) as tokens
    from read_parquet($index)
    group by id
)
select
    documents.source, origin.file as raw_file, count(*) as documents, sum(origin.length)::bigint as raw_bytes,
    sum(tokens)::bigint as tokens
from used
inner join read_parquet($documents) as documents using (id)
group by all
order by documents.source, raw_file;
