-- question: which parts of flow runs belong to none that is recorded?
-- grain: one row per flow run and table; datasets and trainings are entered while a run goes on, its row at its start
select distinct 'flow_tasks' as thing, flow_run from flow_tasks where flow_run not in (select flow_run from flow_runs)
union all
select distinct 'flow_run_datasets', flow_run from flow_run_datasets where flow_run not in (select flow_run from flow_runs)
union all
select distinct 'flow_run_trainings', flow_run from flow_run_trainings where flow_run not in (select flow_run from flow_runs)
union all
select 'flow_run_trainings of run ' || run, flow_run from flow_run_trainings where run not in (select run from trainings);
