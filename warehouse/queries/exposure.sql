-- question: How exposed are planted secrets, by how often they were seen?
-- grain: one row per run and number of repeats; exposure in bits
select
    name, repeats, avg(times_seen) as times_seen, count(*) as secrets, avg(exposure) as mean_exposure,
    min(exposure) as smallest, max(exposure) as largest, any_value(largest_exposure) as possible, run
from exposure
group by name, run, repeats
order by name, repeats;
