-- question: Which filters shaped the documents that made this perplexity, and what did each take out?
-- grain: one row per source, outcome and reason of the split that the run was trained on
-- param: id: fingerprint of an evaluation, a run or a dataset, or its first digits
with splits as (
    select datasets.dataset
    from behind($id)
    inner join datasets on datasets.dataset = id
    where kind = 'dataset' and stage in ('split', 'decontaminate')
    order by distance
    limit 1
)
select source, outcome, reason, sum(documents)::bigint as documents, sum(bytes)::bigint as bytes, dataset
from funnel_steps
inner join splits using (dataset)
group by all
order by source, outcome, documents desc, reason;
