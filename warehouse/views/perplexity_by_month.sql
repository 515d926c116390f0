-- question: how well does each run predict documents by the month in which they were written?
-- grain: one row per evaluation, checkpoint, set, protocol, source and month; documents without a date are left out
-- the 95 % interval is that of the view perplexity: a ratio of two sums over documents
create or replace view perplexity_by_month as
with dated as (
    select evaluation_documents.*, date_trunc('month', created)::date as month
    from evaluation_documents
    inner join document_dates using (document)
),
ratios as (
    select *, sum(nats) over months / nullif(sum(bytes) over months, 0) as per_byte
    from dated
    window months as (partition by evaluation, run, checkpoint, set, protocol, source, month)
),
sums as (
    select
        evaluation, run, checkpoint, set, protocol, source, month,
        count(*) as documents, sum(tokens)::bigint as tokens, sum(bytes)::bigint as bytes, sum(nats) as nats,
        any_value(per_byte) as per_byte,
        1.959964 * sqrt(sum((nats - per_byte * bytes) ** 2) * count(*) / nullif(count(*) - 1, 0))
            / nullif(sum(bytes), 0) as margin
    from ratios
    group by all
),
final as (
    select
        evaluation, run, coalesce(label, left(run, 8)) as name, checkpoint, set, protocol, source, month,
        documents, tokens, bytes, nats,
        finite(exp(nats / nullif(tokens, 0))) as token_perplexity,
        finite(per_byte / ln(2)) as bits_per_byte,
        case when margin is not null then finite(greatest(0, (per_byte - margin) / ln(2))) end as bits_per_byte_low,
        finite((per_byte + margin) / ln(2)) as bits_per_byte_high
    from sums
    left join run_labels using (run)
)
select * from final;
