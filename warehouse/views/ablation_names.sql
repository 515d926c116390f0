-- question: which names of datasets are those of variants made for an ablation, not of recipes?
-- grain: one row per name
create or replace view ablation_names as
select distinct datasets.name
from ablation_runs
inner join trainings as variant on variant.run = ablation_runs.run
inner join trainings as whole on whole.run = ablation_runs.base
inner join datasets on datasets.dataset = variant.dataset
where variant.dataset <> whole.dataset;
