-- question: how well does each run predict each source, language and domain, and how sure is that?
-- grain: one row per evaluation, checkpoint, set, protocol and slice: 'all', each source (and language), each language,
-- each domain of its own within a source (written source/domain)
-- the 95 % intervals hold the middle 950 of a thousand resamples of the documents (see slice_sums); one document has none
create or replace view perplexity as
with resamples as (
    select
        evaluation, run, checkpoint, set, protocol, slice, source, lang, domain,
        unnest(resampled_nats) as nats, unnest(resampled_tokens) as tokens,
        unnest(resampled_words) as words, unnest(resampled_bytes) as bytes
    from slice_sums
    where documents > 1
),
intervals as (
    select
        evaluation, run, checkpoint, set, protocol, slice, source, lang, domain,
        quantile_cont(nats / nullif(tokens, 0), [0.025, 0.975]) as per_token,
        quantile_cont(nats / nullif(words, 0), [0.025, 0.975]) as per_word,
        quantile_cont(nats / nullif(bytes, 0), [0.025, 0.975]) as per_byte
    from resamples
    group by all
),
final as (
    select
        sums.evaluation, sums.run, coalesce(label, left(sums.run, 8)) as name, sums.checkpoint, sums.set, sums.protocol,
        sums.slice, sums.source, sums.lang, sums.domain, document_set,
        documents, tokens, words, bytes, oov, nats,
        finite(exp(nats / nullif(tokens, 0))) as token_perplexity,
        finite(exp(per_token[1])) as token_perplexity_low,
        finite(exp(per_token[2])) as token_perplexity_high,
        finite(exp(nats / nullif(words, 0))) as word_perplexity,
        finite(exp(per_word[1])) as word_perplexity_low,
        finite(exp(per_word[2])) as word_perplexity_high,
        finite(exp(nats / nullif(bytes, 0))) as byte_perplexity,
        finite(exp(per_byte[1])) as byte_perplexity_low,
        finite(exp(per_byte[2])) as byte_perplexity_high,
        correct / nullif(answers, 0) as accuracy, -- of last words; null where none was to be found
        finite(nats / nullif(bytes, 0) / ln(2)) as bits_per_byte,
        finite(per_byte[1] / ln(2)) as bits_per_byte_low,
        finite(per_byte[2] / ln(2)) as bits_per_byte_high
    from slice_sums as sums
    left join intervals
        on intervals.evaluation = sums.evaluation and intervals.run = sums.run
        and intervals.checkpoint = sums.checkpoint and intervals.set = sums.set and intervals.protocol = sums.protocol
        and intervals.slice = sums.slice and intervals.source = sums.source
        and intervals.lang is not distinct from sums.lang and intervals.domain = sums.domain
    left join run_labels on run_labels.run = sums.run
)
select * from final;
