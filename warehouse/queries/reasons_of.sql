-- question: Why did documents not reach one split dataset?
-- grain: one row per source, outcome and reason
-- param: dataset: fingerprint of a split or decontaminate dataset
select source, outcome, reason, sum(documents)::bigint as documents
from funnel_steps
where dataset = $dataset and outcome in ('skipped', 'dropped') and reason is not null
group by all
order by source, outcome, documents desc, reason;
