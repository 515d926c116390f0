-- question: Where did the time go: how many seconds did each stage take?
-- grain: one row per stage (its newest dataset of each name; training by its own clock), the longest first
with stages as (
    select stage, count(*) as datasets, sum(epoch(finished) - epoch(started)) as seconds
    from newest_datasets
    group by stage
),
trainings_of_recipes as (
    select 'train' as stage, count(*) as datasets, sum(wall_seconds) as seconds
    from trainings
    where wall_seconds is not null and run not in (select run from ablation_runs)
    having count(*) > 0
),
final as (
    select *, seconds / nullif(sum(seconds) over (), 0) as share
    from (from stages union all by name from trainings_of_recipes)
)
select * from final
order by seconds desc, stage;
