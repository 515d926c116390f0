-- question: how well does each run predict held-out documents, and those of them that it has seen no part of?
-- grain: one row per evaluation, slice (see perplexity), source and language of which overlaps were searched; every score twice, with
-- 95 % intervals (as in the view perplexity: ratios of sums over documents, linearised). Records too short to be
-- compared count as clean
create or replace view perplexity_clean as
with searched as (
    select distinct evaluations.evaluation, evaluations.run, evaluations.set, leak_searches.set as held_out
    from evaluations
    inner join leak_searches
        on leak_searches.run = evaluations.run
        and (split_part(evaluations.set, '@', 1) = leak_searches.set
            or ends_with(split_part(evaluations.set, '@', 1), '-' || leak_searches.set))
),
judged as (
    select documents.*, leaked.document is null as clean
    from evaluation_documents as documents
    inner join searched using (evaluation, run, set)
    left join leaked_documents as leaked
        on leaked.run = documents.run and leaked.set = searched.held_out and leaked.document = documents.document
),
slices as (
    select *, 'source' as slice from judged
    union all by name
    select * replace (source || '/' || domain as source), 'domain' as slice from judged where domain <> source
    union all by name
    select * replace ('all' as source, 'all' as lang), 'all' as slice from judged
),
halves as (
    select *, 'all' as half from slices
    union all
    select *, 'clean' as half from slices where clean
),
sums as (
    select
        evaluation, run, checkpoint, set, protocol, slice, source, lang, half,
        count(*) as documents, sum(nats) as nats, sum(tokens) as tokens, sum(bytes) as bytes,
        sum(nats) / nullif(sum(bytes), 0) as per_byte,
        sum(nats ** 2) as nats_2, sum(nats * bytes) as nats_bytes, sum(bytes::double ** 2) as bytes_2
    from halves
    group by all
),
ratios as (
    select
        *, nats / nullif(tokens, 0) as per_token,
        1.959964 * sqrt(greatest(0, nats_2 - 2 * per_byte * nats_bytes + per_byte ** 2 * bytes_2)
            * documents / nullif(documents - 1, 0)) / nullif(bytes, 0) as margin
    from sums
),
final as (
    select
        whole.evaluation, whole.run, coalesce(label, left(whole.run, 8)) as name, whole.checkpoint, whole.set,
        whole.protocol, whole.slice, whole.source, whole.lang,
        whole.documents, whole.documents - coalesce(clean.documents, 0) as contaminated,
        finite(whole.per_byte / ln(2)) as bits_per_byte,
        finite(clean.per_byte / ln(2)) as bits_per_byte_clean,
        finite((whole.per_byte - whole.margin) / ln(2)) as bits_per_byte_low,
        finite((whole.per_byte + whole.margin) / ln(2)) as bits_per_byte_high,
        finite((clean.per_byte - clean.margin) / ln(2)) as bits_per_byte_clean_low,
        finite((clean.per_byte + clean.margin) / ln(2)) as bits_per_byte_clean_high,
        finite(exp(whole.per_token)) as token_perplexity,
        finite(exp(clean.per_token)) as token_perplexity_clean
    from ratios as whole
    left join ratios as clean
        on clean.half = 'clean' and clean.evaluation = whole.evaluation and clean.run = whole.run
        and clean.checkpoint = whole.checkpoint and clean.set = whole.set and clean.protocol = whole.protocol
        and clean.slice = whole.slice and clean.source = whole.source and clean.lang is not distinct from whole.lang
    left join run_labels on run_labels.run = whole.run
    where whole.half = 'all'
)
select * from final;
