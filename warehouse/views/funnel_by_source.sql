-- question: how much of each source is left after reading, filtering and deduplication?
-- grain: one row per split dataset and source, in documents (records, before reading)
create or replace view funnel_by_source as
with sums as (
    select
        dataset, recipe, source,
        coalesce(sum(documents) filter (outcome = 'in'), 0)::bigint as documents_in,
        coalesce(sum(documents) filter (outcome = 'skipped'), 0)::bigint as skipped,
        coalesce(sum(documents) filter (outcome = 'quarantined'), 0)::bigint as quarantined,
        coalesce(sum(documents) filter (outcome = 'dropped'), 0)::bigint as dropped,
        coalesce(sum(documents) filter (outcome = 'duplicate'), 0)::bigint as duplicates,
        coalesce(sum(documents) filter (outcome = 'kept'), 0)::bigint as kept,
        string_agg(reason || ' ' || documents, ', ' order by documents desc, reason)
            filter (outcome in ('skipped', 'dropped') and reason is not null) as reasons
    from funnel_steps
    group by all
),
final as (
    select *, kept / nullif(documents_in, 0) as kept_share
    from sums
)
select * from final;
