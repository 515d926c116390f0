-- question: in what do two runs differ: settings, code, inputs and data, all the way up?
-- grain: one row per difference; a side that lacks the thing is null:
-- settings are of the run and of every dataset above it; code is a lmpipe version, or a stage whose settings and
-- inputs agree while its fingerprint does not; an input is a raw file by its checksum; data are counts of documents
-- and tokens by source
create or replace macro differences(run_a, run_b) as table
with above as (
    select 'a' as side, distance, id, kind, name, bytes from upstream(run_a)
    union all
    select 'b', distance, id, kind, name, bytes from upstream(run_b)
    union all
    select 'a', 0, run_a, 'run', '', null
    union all
    select 'b', 0, run_b, 'run', '', null
),
splits as (
    select side, min_by(id, distance) as dataset
    from above
    inner join datasets on dataset = id
    where stage in ('split', 'decontaminate')
    group by side
),
made as (
    select side, stage || '/' || datasets.name as thing, dataset, settings, version
    from above
    inner join datasets on dataset = id and above.kind = 'dataset'
    union all by name
    select side, 'training' as thing, trainings.run as dataset, settings, null as version
    from above
    inner join trainings on run = id and above.kind = 'run'
    where above.name = ''
),
settings as (
    select side, 'settings' as kind, thing || ' ' || substr(fullkey, 3) as name, coalesce(atom::varchar, 'null') as value
    from made, json_tree(made.settings)
    where fullkey <> '$' and (type is null or type not in ('OBJECT', 'ARRAY') or json_array_length(json_extract(made.settings, fullkey)) = 0)
),
code as (
    select side, 'code' as kind, 'lmpipe that made ' || thing as name, version as value from made where version is not null
    union all
    select side, 'code', 'lmpipe sources that trained it', flow_runs.code
    from made
    inner join flow_run_trainings on run = made.dataset and not reused
    inner join flow_runs using (flow_run)
    where code is not null
    union all
    select sides.side, 'code', 'way of making ' || a.thing, left(if(sides.side = 'a', a.dataset, b.dataset), 16)
    from made as a
    inner join made as b on a.side = 'a' and b.side = 'b' and a.thing = b.thing and a.dataset <> b.dataset
    cross join (values ('a'), ('b')) as sides(side)
    where a.settings::varchar = b.settings::varchar
        and (select list(input order by input_kind, input) from lineage as ia where ia.id = a.dataset)
            is not distinct from (select list(input order by input_kind, input) from lineage as ib where ib.id = b.dataset)
),
inputs as (
    select side, 'inputs' as kind, name, id || ' (' || bytes || ' bytes)' as value from above where kind = 'file'
),
machine as (
    select
        side, 'machine' as kind, unnest(['device', 'threads']) as name,
        unnest([device, threads::varchar]) as value
    from made
    inner join trainings on run = made.dataset
),
data as (
    select side, 'data' as kind, split || ' tokens of ' || source as name, sum(tokens)::bigint::varchar as value
    from made
    inner join token_stats using (dataset)
    group by side, split, source
    union all
    select side, 'data', split || ' documents of ' || source, sum(documents)::bigint::varchar
    from made
    inner join token_stats using (dataset)
    group by side, split, source
    union all
    select side, 'data', outcome || coalesce(' by ' || reason, '') || ' documents of ' || source, sum(documents)::bigint::varchar
    from splits
    inner join funnel using (dataset)
    where outcome <> 'kept'
    group by side, outcome, reason, source
),
facts as (
    from settings union all by name from code union all by name from inputs union all by name
    from machine union all by name from data
),
final as (
    select
        kind, name,
        string_agg(distinct value, ', ' order by value) filter (side = 'a') as a,
        string_agg(distinct value, ', ' order by value) filter (side = 'b') as b
    from facts
    group by kind, name
)
select *
from final
where a is distinct from b
order by list_position(['settings', 'inputs', 'code', 'data', 'machine'], kind), name;
