-- question: How fast is each stage?
-- grain: one row per flow run, stage and name of what was made, newest first
select
    recipe, stage, name, seconds, bytes / 1e6 / nullif(seconds, 0) as mb_per_s,
    documents / nullif(seconds, 0) as documents_per_s, tokens / nullif(seconds, 0) as tokens_per_s,
    operations / 1e9 / nullif(seconds, 0) as gflops, flow_run
from stage_times
inner join (select flow_run, recipe, started from flow_runs) using (flow_run)
order by started desc, flow_run, stage, name;
