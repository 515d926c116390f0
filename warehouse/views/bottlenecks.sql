-- question: which stage took a flow run's time, and how far is it from what its machine can do?
-- grain: one row per flow run and stage that it worked in;
-- the ceiling of reading raw files is decompression, that of models the matrix rate, that of all else memory copy
create or replace view bottlenecks as
with sums as (
    select
        flow_run, stage, sum(seconds) as seconds, count(*) as made, sum(bytes)::bigint as bytes,
        sum(documents)::bigint as documents, sum(tokens)::bigint as tokens, sum(operations) as operations,
        case
            when stage = 'ingest' then 'decompression'
            when stage in ('train', 'evaluate') then 'matrix_rate'
            else 'memory_copy'
        end as ceiling
    from stage_times
    group by all
),
rates as (
    select
        sums.*, host->>'name' as machine, flow, recipe, started,
        case when ceiling = 'matrix_rate' then operations / 1e9 else bytes / 1e6 end / nullif(seconds, 0) as rate
    from sums
    inner join flow_runs using (flow_run)
),
final as (
    select
        flow_run, flow, recipe, started, stage, made, seconds,
        seconds / nullif(sum(seconds) over runs, 0) as share_of_time,
        rank() over (runs order by seconds desc) = 1 as is_bottleneck,
        bytes, documents, tokens, rate, if(ceiling = 'matrix_rate', 'GFLOP/s', 'MB/s') as unit, ceiling, ceilings.value as ceiling_rate,
        rate / nullif(ceilings.value, 0) as share_of_ceiling
    from rates
    left join ceilings using (machine, ceiling)
    window runs as (partition by flow_run)
)
select * from final;
