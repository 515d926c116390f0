-- question: Which datasets are there, newest first?
-- grain: one row per dataset
with files as (
    select dataset, sum("rows")::bigint as "rows", sum(bytes)::bigint as bytes
    from shards
    group by dataset
)
select
    stage, name, coalesce("rows", 0) as "rows", coalesce(bytes, 0) as bytes,
    finished, round(epoch(finished) - epoch(started), 1) as seconds, version, host, dataset, folder
from datasets
left join files using (dataset)
order by finished desc, dataset;
