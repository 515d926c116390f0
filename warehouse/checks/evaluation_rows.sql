-- question: which evaluate datasets have another number of documents here than in their shards?
-- grain: one row per evaluate dataset
with written as (
    select dataset, sum(shards."rows") as documents
    from shards
    inner join datasets using (dataset)
    where stage = 'evaluate' and role = 'evaluations'
    group by dataset
),
recorded as (
    select evaluation as dataset, count(*) as documents
    from evaluation_documents
    group by evaluation
)
select dataset, written.documents as written, recorded.documents as recorded
from written
full join recorded using (dataset)
where coalesce(written.documents, 0) <> coalesce(recorded.documents, 0);
