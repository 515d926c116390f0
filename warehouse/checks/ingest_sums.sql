-- question: which sources lost records without saying so? (in = kept + quarantined + skipped)
-- grain: one row per ingest dataset
select
    counts.dataset, name,
    coalesce(sum(number) filter (key = 'in'), 0) as documents_in,
    coalesce(sum(number) filter (key in ('kept', 'quarantined') or key like 'skipped.%'), 0) as accounted
from counts
inner join datasets using (dataset)
where stage = 'ingest'
group by all
having documents_in <> accounted;
