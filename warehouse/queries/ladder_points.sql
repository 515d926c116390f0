-- question: What loss did each training of the newest ladders come to, and what does the law say?
-- grain: one row per ladder and training, by size, then tokens
select scaling_laws.name as ladder, ladder_points.* exclude (dataset), dataset
from ladder_points
inner join scaling_laws using (dataset)
where newest
order by ladder, parameters, tokens;
