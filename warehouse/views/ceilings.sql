-- question: how fast could each machine be at best, as measured there (lmpipe warehouse ceilings)?
-- grain: one row per machine and ceiling, the newest measure
create or replace view ceilings as
select machine->>'name' as machine, substr(name, 9) as ceiling, value, unit, measured
from benchmarks
where starts_with(name, 'ceiling.')
qualify row_number() over (partition by machine->>'name', name order by measured desc) = 1;
