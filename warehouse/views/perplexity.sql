-- question: how well does each run predict each source, and how sure is that?
-- grain: one row per evaluation, checkpoint, set, protocol, source and language, and one 'all' row
-- the 95 % intervals are for the ratio of two sums over documents, linearised (Cochran, Sampling
-- Techniques, section 6.4: variance of y/x is that of the residuals y - r x, divided by n and mean(x)^2);
-- documents, not tokens, are the sampled units: tokens of one document are not independent
create or replace view perplexity as
with totals as (
    select
        evaluation, run, checkpoint, set, protocol, slice, source, lang,
        count(*) as documents, sum(tokens)::bigint as tokens, sum(words)::bigint as words,
        sum(nats * nats) as nats_nats, sum(nats * tokens) as nats_tokens, sum(nats * bytes) as nats_bytes,
        sum(tokens * tokens)::double as tokens_tokens, sum(bytes * bytes)::double as bytes_bytes,
        sum(bytes)::bigint as bytes, sum(oov)::bigint as oov, sum(nats) as nats,
        printf('%016x', bit_xor(hash(document, bytes))) as document_set
    from evaluation_slices
    group by all
),
ratios as (
    select *, nats / nullif(tokens, 0) as per_token, nats / nullif(words, 0) as per_word, nats / nullif(bytes, 0) as per_byte
    from totals
),
spread as (
    -- the residuals' squares, multiplied out: a second pass over the documents costs more than the rows are worth
    select
        *,
        1.959964 * sqrt(greatest(nats_nats - 2 * per_token * nats_tokens + per_token ** 2 * tokens_tokens, 0)
            * documents / nullif(documents - 1, 0)) / nullif(tokens, 0) as token_margin,
        1.959964 * sqrt(greatest(nats_nats - 2 * per_byte * nats_bytes + per_byte ** 2 * bytes_bytes, 0)
            * documents / nullif(documents - 1, 0)) / nullif(bytes, 0) as byte_margin
    from ratios
),
final as (
    select
        evaluation, run, coalesce(label, left(run, 8)) as name, checkpoint, set, protocol,
        slice, source, lang, document_set,
        documents, tokens, words, bytes, oov, nats,
        finite(exp(per_token)) as token_perplexity,
        finite(exp(per_token - token_margin)) as token_perplexity_low,
        finite(exp(per_token + token_margin)) as token_perplexity_high,
        finite(exp(per_word)) as word_perplexity,
        finite(per_byte / ln(2)) as bits_per_byte,
        case when byte_margin is not null then
            finite(greatest(0, (per_byte - byte_margin) / ln(2)))
        end as bits_per_byte_low, -- greatest passes over null
        finite((per_byte + byte_margin) / ln(2)) as bits_per_byte_high
    from spread
    left join run_labels using (run)
)
select * from final;
