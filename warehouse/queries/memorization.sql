-- question: How much training text does each run say by heart, by times seen and duplicates?
-- grain: one row per run, method, times seen (from, in powers of two) and size of the group of duplicates
select
    name, method, prefix, suffix, level, seen_from, cluster_from, passages, extracted, extracted_share, mean_matched,
    longest, nats_per_token, run
from memorization
order by name, run, method, level, seen_from, cluster_from;
