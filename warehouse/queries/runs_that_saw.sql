-- question: Which runs were trained on a document, and how often did they pass over it?
-- grain: one row per run; copies stand in the shards, passes are over all tokens: below 1 the run may not have come
-- to it (lmpipe batch tells)
-- param: document: its id, source:native-id
-- files: index
select place from dataset_files where stage = 'tokens' and role = 'documents-train' order by place;
-- answer
with found as (
    select place_of(filename) as place, count(*) as copies, sum(length)::bigint as tokens
    from read_parquet($index, filename = true)
    where id = $document
    group by filename
),
held as (
    select dataset, sum(copies)::bigint as copies, sum(found.tokens)::bigint as tokens, string_agg(path, ', ' order by path) as shards
    from found
    inner join dataset_files using (place)
    group by dataset
),
sizes as (
    select dataset, sum(tokens) as train_tokens
    from token_stats
    where split = 'train'
    group by dataset
)
select
    label as name, copies, held.tokens, trainings.tokens / nullif(train_tokens, 0) as passes, shards, run, dataset
from held
inner join trainings using (dataset)
inner join run_labels using (run)
left join sizes using (dataset)
order by name, run;
