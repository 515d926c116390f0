-- question: which checkpoints and metrics belong to no recorded training?
-- grain: one row per run and table
select distinct 'checkpoints' as thing, run from checkpoints where run not in (select run from trainings)
union all
select distinct 'training_metrics', run from training_metrics where run not in (select run from trainings);
