-- question: which recorded inputs of datasets and runs were never recorded themselves?
-- grain: one row per missing thing and who names it
select dataset_inputs.dataset as thing, kind, input
from dataset_inputs
where (kind = 'dataset' and input not in (select dataset from datasets))
    or (kind = 'run' and input not in (select run from trainings))
union all
select run, 'dataset', dataset from trainings where dataset not in (select dataset from datasets)
union all
select flow_run, 'dataset', dataset from flow_run_datasets where dataset not in (select dataset from datasets);
