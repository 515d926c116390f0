-- question: Which law do the losses of the newest ladders follow, and which size is best for more compute?
-- grain: one row per ladder and parameter of the law, or foretold quantity and compute in FLOPs
select scaling_laws.name as ladder, quantity, compute, value, low, high
from ladder_fits
inner join scaling_laws using (dataset)
where newest
order by ladder, compute nulls first, quantity;
