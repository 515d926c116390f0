-- question: What failed or was tried again, when, and with which sentence?
-- grain: one row per flow run, or task of one, that failed or needed more than one attempt; newest first
with final as (
    select started, flow, recipe, 'the flow' as what, status, attempts, error, flow_run, 0 as part
    from flow_runs
    where status in ('failed', 'crashed', 'cancelled') or attempts > 1
    union all by name
    select
        coalesce(flow_tasks.started, flow_runs.started) as started, flow_tasks.flow, recipe, flow_tasks.name as what,
        flow_tasks.status, flow_tasks.attempts, flow_tasks.error, flow_run, 1 as part
    from flow_tasks
    inner join flow_runs using (flow_run)
    where flow_tasks.status in ('failed', 'crashed', 'cancelled') or flow_tasks.attempts > 1
)
select * exclude (part)
from final
order by max(started) over (partition by flow_run) desc, flow_run, part, started, what;
