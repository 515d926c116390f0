-- question: How much of each source is left, and what was taken out for which reason?
-- grain: one row per recipe (its newest split) and source, in documents
select
    recipe, source, documents_in, skipped, quarantined, dropped, duplicates, kept, kept_share, reasons,
    funnel_by_source.dataset
from funnel_by_source
inner join newest_splits using (dataset)
order by recipe, source;
