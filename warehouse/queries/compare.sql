-- question: Is run a better than run b, document by document?
-- grain: one row per pair of evaluations and source; difference in bits per byte, a minus b
-- param: a: fingerprint of a run, or its first digits
-- param: b: fingerprint of the other
select set, source, lang, documents, difference, difference_low, difference_high, worse_share, verdict
from paired_differences(
    (select min(run) from trainings where starts_with(run, $a)),
    (select min(run) from trainings where starts_with(run, $b))
)
order by all;
