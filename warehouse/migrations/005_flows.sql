-- what a flow run did beside its datasets: its trainings, its tasks with their attempts and errors, and the code it ran.

-- one row per flow run and training that it made or found already made
create table flow_run_trainings (
    flow_run varchar not null,
    run varchar not null,
    seconds double not null,       -- wall time of the training, those before a kill included
    reused boolean not null,       -- it was finished before
    primary key (flow_run, run)
);

-- one row per task of a flow run, those of the flows below it included
create table flow_tasks (
    flow_run varchar not null,
    task_run varchar not null,     -- Prefect's id
    flow varchar not null,         -- name of the flow that called the task: the run's own, or one below it
    name varchar not null,
    status varchar not null,
    attempts bigint not null,      -- 1 where nothing was tried again, 0 where it never began
    started timestamp,
    seconds double not null,       -- time spent running, over all attempts
    error varchar,                 -- the sentence that ended it
    primary key (flow_run, task_run)
);

alter table flow_runs add column code varchar;      -- sha256 over the sources of lmpipe, flows and warehouse
alter table flow_runs add column attempts bigint;   -- 1 where Prefect did not run it again
