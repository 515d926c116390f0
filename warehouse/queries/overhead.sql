-- question: How much of each flow run's time was no stage's: starting, waiting, keeping records?
-- grain: one row per completed flow run that made something, newest first
with worked as (
    select flow_run, sum(seconds) as stage_seconds
    from stage_times
    group by flow_run
),
final as (
    select
        flow, recipe, started, epoch(ended - started) as seconds, stage_seconds,
        1 - stage_seconds / nullif(epoch(ended - started), 0) as overhead, flow_run
    from flow_runs
    inner join worked using (flow_run)
    where status = 'completed'
)
select * from final
order by started desc, flow_run;
