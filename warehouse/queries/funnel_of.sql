-- question: How much of each source was left in one split dataset? (dataset: its fingerprint)
-- grain: one row per source, in documents
select source, documents_in as "in", skipped, quarantined, dropped, duplicates, kept
from funnel_by_source
where dataset = $dataset
order by source;
