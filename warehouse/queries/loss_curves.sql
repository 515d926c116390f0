-- question: How did the loss of the last evaluated runs fall?
-- grain: one row per run, split and step shown; a curve keeps its last step
-- param: runs = 6: how many
-- param: points = 200: of each curve at most
with evaluated as (
    select run, max(finished) as finished
    from evaluations
    inner join datasets on dataset = evaluation
    group by run
),
chosen as (
    select run
    from trainings
    left join evaluated using (run)
    order by finished desc nulls last, name, run
    limit $runs::bigint
),
numbered as (
    select
        loss_curves.*,
        count(*) over (partition by run, split) as lines,
        row_number() over (partition by run, split order by step desc) - 1 as line
    from loss_curves
    inner join chosen using (run)
    where loss is not null
),
final as (
    select run, name, split, step, loss
    from numbered
    where line % ((lines + $points::bigint - 1) // $points::bigint) = 0
)
select * from final
order by name, run, split, step;
