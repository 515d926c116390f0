-- question: How did the loss of one run fall?
-- grain: one row per split and step shown; a curve keeps its last step
-- param: run: its fingerprint
-- param: points = 200: of each curve at most
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
where line % ((lines + $points::bigint - 1) // $points::bigint) = 0
order by split, step;
