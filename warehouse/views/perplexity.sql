-- question: how well does each run predict each source, language and domain, and how sure is that?
-- grain: one row per evaluation, checkpoint, set, protocol, source (source/domain in the slice 'domain') and language,
-- and one 'all' row
-- the 95 % intervals are for the ratio of two sums over documents, linearised (Cochran, Sampling
-- Techniques, section 6.4: variance of y/x is that of the residuals y - r x, divided by n and mean(x)^2);
-- documents, not tokens, are the sampled units: tokens of one document are not independent
create or replace view perplexity as
with totals as (
    select
        evaluation, run, checkpoint, set, protocol, slice, source, lang, domain,
        count(*) as documents, sum(tokens)::bigint as tokens, sum(words)::bigint as words,
        sum(bytes)::bigint as bytes, sum(oov)::bigint as oov, sum(nats) as nats,
        sum(correct)::bigint as correct, count(correct) as answers,
        printf('%016x', bit_xor(hash(document, bytes))) as document_set
    from evaluation_slices
    group by all
),
ratios as (
    select *, nats / nullif(tokens, 0) as per_token, nats / nullif(words, 0) as per_word, nats / nullif(bytes, 0) as per_byte
    from totals
),
residuals as (
    select
        ratios.evaluation, ratios.run, ratios.checkpoint, ratios.set, ratios.protocol,
        ratios.slice, ratios.source, ratios.lang,
        sum((documents.nats - per_token * documents.tokens) ** 2) as token_squares,
        sum((documents.nats - per_byte * documents.bytes) ** 2) as byte_squares
    from ratios
    inner join evaluation_slices as documents
        on documents.evaluation = ratios.evaluation and documents.run = ratios.run
        and documents.checkpoint = ratios.checkpoint and documents.set = ratios.set
        and documents.protocol = ratios.protocol and documents.slice = ratios.slice
        and documents.source = ratios.source and documents.lang is not distinct from ratios.lang
    group by all
),
spread as (
    select
        ratios.*,
        1.959964 * sqrt(token_squares * documents / nullif(documents - 1, 0)) / nullif(tokens, 0) as token_margin,
        1.959964 * sqrt(byte_squares * documents / nullif(documents - 1, 0)) / nullif(bytes, 0) as byte_margin
    from ratios
    inner join residuals
        on residuals.evaluation = ratios.evaluation and residuals.run = ratios.run
        and residuals.checkpoint = ratios.checkpoint and residuals.set = ratios.set
        and residuals.protocol = ratios.protocol and residuals.slice = ratios.slice
        and residuals.source = ratios.source and residuals.lang is not distinct from ratios.lang
),
final as (
    select
        evaluation, run, coalesce(label, left(run, 8)) as name, checkpoint, set, protocol,
        slice, source, lang, domain, document_set,
        documents, tokens, words, bytes, oov, nats,
        finite(exp(per_token)) as token_perplexity,
        finite(exp(per_token - token_margin)) as token_perplexity_low,
        finite(exp(per_token + token_margin)) as token_perplexity_high,
        finite(exp(per_word)) as word_perplexity,
        finite(exp(per_byte)) as byte_perplexity,
        correct / nullif(answers, 0) as accuracy, -- of last words; null where none was to be found
        finite(per_byte / ln(2)) as bits_per_byte,
        case when byte_margin is not null then
            finite(greatest(0, (per_byte - byte_margin) / ln(2)))
        end as bits_per_byte_low, -- greatest passes over null
        finite((per_byte + byte_margin) / ln(2)) as bits_per_byte_high
    from spread
    left join run_labels using (run)
)
select * from final;
