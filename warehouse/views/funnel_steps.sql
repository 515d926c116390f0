-- question: what became of every record of a source, and why?
-- grain: one row per split dataset, source, outcome and reason; bytes and words are null for what was no document
create or replace view funnel_steps as
with ingests as (
    select split.dataset, split.name as recipe, ingest.name as source, ingest.above as ingest
    from upstream_datasets as split
    inner join upstream_datasets as ingest on ingest.dataset = split.dataset
    where split.dataset = split.above and split.stage in ('split', 'decontaminate') and ingest.stage = 'ingest'
),
read as (
    select
        ingests.dataset, recipe, source,
        case when key = 'in' then 'in' when key = 'quarantined' then 'quarantined' else 'skipped' end as outcome,
        case when key like 'skipped.%' then substr(key, 9) end as reason,
        number as documents
    from ingests
    inner join counts on counts.dataset = ingests.ingest
    where key in ('in', 'quarantined') or key like 'skipped.%'
),
judged as (
    select
        funnel.dataset, datasets.name as recipe, source, outcome, reason,
        sum(documents)::bigint as documents, sum(bytes)::bigint as bytes, sum(words)::bigint as words
    from funnel
    inner join datasets using (dataset)
    group by all
),
final as (
    from read
    union all by name
    from judged
)
select * from final;
