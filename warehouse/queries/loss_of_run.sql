-- question: How did the loss of one run fall? (run: its fingerprint; points: of each curve at most)
-- grain: one row per split and step shown; a curve keeps its last step
with numbered as (
    select
        *,
        count(*) over (partition by split) as lines,
        row_number() over (partition by split order by step desc) - 1 as line
    from loss_curves
    where run = $run and loss is not null
)
select name, split, step, loss
from numbered
where line % ((lines + $points - 1) // $points) = 0
order by split, step;
