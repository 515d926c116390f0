-- question: what was this evaluation, run or dataset made from, back to the raw files?
-- grain: one row per thing upstream (kind run, dataset or file), with the shortest distance to it
create or replace macro upstream(start) as table
with recursive above as (
    select 1 as distance, input_kind as kind, input as id, input_name as name, bytes
    from lineage
    where lineage.id = start
    union
    select above.distance + 1, lineage.input_kind, lineage.input, lineage.input_name, lineage.bytes
    from above
    inner join lineage on lineage.id = above.id
)
select
    min(distance) as distance, kind, id,
    coalesce(any_value(trainings.name), any_value(above.name)) as name, any_value(above.bytes) as bytes
from above
left join trainings on kind = 'run' and trainings.run = above.id
group by kind, id
order by all;
