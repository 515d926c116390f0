-- question: which sources lost documents between cleaning and split? (clean = kept + dropped + duplicates)
-- grain: one row per split dataset and source
with cleaned as (
    select split.dataset, clean.name as source, sum(shards."rows") as documents
    from upstream_datasets as split
    inner join upstream_datasets as clean on clean.dataset = split.dataset
    inner join shards on shards.dataset = clean.above and shards.role = 'documents'
    where split.dataset = split.above and split.stage in ('split', 'graft', 'decontaminate') and clean.stage = 'clean'
    group by all
),
accounted as (
    select dataset, source, sum(documents) as documents
    from funnel
    group by all
)
select dataset, source, cleaned.documents as cleaned, accounted.documents as accounted
from cleaned
full join accounted using (dataset, source)
where coalesce(cleaned.documents, 0) <> coalesce(accounted.documents, 0);
