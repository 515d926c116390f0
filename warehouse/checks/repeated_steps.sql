-- question: which runs logged a step twice?
-- grain: one row per run, split and step
select run, split, step, count(*) as lines
from training_metrics
group by all
having count(*) > 1;
