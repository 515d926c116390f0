-- question: which is the newest dataset of each stage and name?
-- grain: one row per stage and name, variants of ablations left out
create or replace view newest_datasets as
select *
from datasets
where name not in (from ablation_names)
qualify row_number() over (partition by stage, name order by finished desc, dataset) = 1;
