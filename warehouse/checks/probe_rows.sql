-- question: which probes of models have another number of rows here than in their shards?
-- grain: one row per dataset and role
with written as (
    select dataset, role, sum("rows") as "rows"
    from shards
    inner join datasets using (dataset)
    where stage in ('pairs', 'audit') and role in ('pairs', 'extractions', 'exposures')
    group by all
),
recorded as (
    select dataset, 'pairs' as role, count(*) as "rows" from pair_scores group by all
    union all
    select dataset, 'extractions' as role, count(*) as "rows" from extractions group by all
    union all
    select dataset, 'exposures' as role, count(*) as "rows" from canaries group by all
)
select dataset, role, written."rows" as written, recorded."rows" as recorded
from written
full join recorded using (dataset, role)
where coalesce(written."rows", 0) <> coalesce(recorded."rows", 0);
