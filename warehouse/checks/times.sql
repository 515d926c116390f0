-- question: what ended before it began, or is said to have ended but has no end?
-- grain: one row per flow run or dataset
select 'flow_runs' as thing, flow_run as id, started, ended
from flow_runs
where ended < started or (status <> 'running' and ended is null)
union all
select 'datasets', dataset, started, finished from datasets where finished < started;
