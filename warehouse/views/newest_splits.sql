-- question: which dataset holds the last word on what became of a recipe's documents?
-- grain: one row per recipe, variants of ablations left out; decontamination rewrites the outcomes of the split that it
-- reads
create or replace view newest_splits as
select *
from datasets
where stage in ('split', 'decontaminate') and name not in (from ablation_names)
qualify row_number() over (partition by name order by finished desc, stage, dataset) = 1;
