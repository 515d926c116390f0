-- question: what was made from what?
-- grain: one row per edge, from a thing to what it was made from
create or replace view lineage as
select dataset as id, kind as input_kind, input, name as input_name, bytes from dataset_inputs
union all by name
select run as id, 'dataset' as input_kind, dataset as input, datasets.stage || '/' || datasets.name as input_name
from trainings
left join datasets using (dataset);
