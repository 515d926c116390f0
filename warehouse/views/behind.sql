-- question: which datasets, runs and files made an evaluation, a run or a dataset, itself included?
-- grain: one row per thing (kind run, dataset or file); start is its fingerprint or the first digits of it
create or replace macro behind(start) as table
with things as (
    select dataset as id, 'dataset' as kind from datasets
    union all
    select run, 'run' from trainings
),
chosen as (
    select min(id) as id, min_by(kind, id) as kind
    from things
    where starts_with(id, start)
)
select 0 as distance, kind, id from chosen
union all
select distance, kind, id from upstream((select id from chosen));
