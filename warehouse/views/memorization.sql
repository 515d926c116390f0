-- question: how much of its training documents does each model say by heart, by how often it saw them?
-- grain: one row per audit dataset, method, times seen (occurrences x epochs, in powers of two) and size of the group
-- of duplicates (in powers of two), and one 'all' row per method; a passage is extracted when any of its
-- continuations gives the whole suffix
create or replace view memorization as
with passages as (
    select
        dataset, run, checkpoint, protocol, document, passage, method, prefix, suffix,
        any_value(nats) as nats, bool_or(matched = suffix) as extracted, max(matched) as matched, max(longest) as longest,
        any_value(occurrences) as occurrences, any_value(cluster) as cluster,
        count(*) as continuations,
        2 ** floor(log2(greatest(1, any_value(occurrences * epochs))))::bigint as seen_from,
        2 ** floor(log2(any_value(cluster)))::bigint as cluster_from
    from extractions
    group by all
),
final as (
    select
        dataset, run, checkpoint, protocol, method, prefix, suffix,
        case when grouping(seen_from) = 0 then 'seen' else 'all' end as level, seen_from, cluster_from,
        count(*) as passages, sum(continuations)::bigint as continuations,
        count(*) filter (where extracted) as extracted, avg(extracted::int) as extracted_share,
        avg(matched) as mean_matched, max(longest) as longest, sum(nats) / sum(suffix) as nats_per_token
    from passages
    group by grouping sets (
        (dataset, run, checkpoint, protocol, method, prefix, suffix, seen_from, cluster_from),
        (dataset, run, checkpoint, protocol, method, prefix, suffix)
    )
)
select final.*, coalesce(label, left(run, 8)) as name
from final
left join run_labels using (run);
