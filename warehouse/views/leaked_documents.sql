-- question: which held-out documents share text with a run's training documents?
-- grain: one row per run, held-out set and document of it, with the training document that covers most of it
create or replace view leaked_documents as
select
    leak_searches.run, leaks.set, leaks.record as document,
    count(distinct leaks.document) as training_documents, max(share) as largest_share,
    arg_max(leaks.document, share) as most_alike, sum(spans)::bigint as spans,
    arg_max(leaks.dataset, share) as dataset
from leaks
inner join leak_searches using (dataset, set)
where contaminated
group by all;
