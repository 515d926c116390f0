-- question: by which short name can a run be told from every other?
-- grain: one row per run; its name, with the first digits of its fingerprint where two runs share a name
create or replace view run_labels as
select run, case when count(*) over (partition by name) > 1 then name || ' ' || left(run, 6) else name end as label
from trainings;
