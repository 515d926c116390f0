-- question: How much of each source was left in one split dataset?
-- grain: one row per source, in documents
-- param: dataset: fingerprint of a split or decontaminate dataset
select source, documents_in as "in", skipped, quarantined, dropped, duplicates, kept
from funnel_by_source
where dataset = $dataset
order by source;
