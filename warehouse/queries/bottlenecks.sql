-- question: Where did the time of the newest flow runs go, and how far is each stage from its machine's ceiling?
-- grain: one row per flow run and stage, slowest first
-- param: runs = 3: flow runs, the newest that made something
select flow, recipe, stage, seconds, share_of_time, is_bottleneck, rate, unit, ceiling, ceiling_rate, share_of_ceiling, flow_run
from bottlenecks
qualify dense_rank() over (order by started desc, flow_run) <= $runs::bigint
order by started desc, flow_run, seconds desc, stage;
