-- question: Is run a better than run b, document by document? (a, b: fingerprints or their first digits)
-- grain: one row per pair of evaluations and slice; difference in bits per byte, a minus b
select
    set, slice, source, lang, domain, documents, difference, difference_low, difference_high,
    won_share, worse_share, verdict
from paired_differences(
    (select min(run) from trainings where starts_with(run, $a)),
    (select min(run) from trainings where starts_with(run, $b))
)
order by all;
