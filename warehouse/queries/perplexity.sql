-- question: How well does each run predict each source, with 95 % intervals?
-- grain: one row per evaluation and slice (all, source, language, domain); newest group first, and rows of one group
-- (same documents, protocols that differ in nothing but the vocabulary) may be compared by their bytes
with groups as (
    select
        evaluation, run, checkpoint, set, protocol, place, variant,
        max(finished) over comparables as finished,
        set || '|' || comparable_protocol || '|' || document_set as comparables
    from leaderboard
    left join datasets on dataset = evaluation
    window comparables as (partition by set, comparable_protocol, document_set)
),
final as (
    select
        comparables, place, set, name, source, lang, domain, documents, tokens, words, bytes, nats,
        token_perplexity, token_perplexity_low, token_perplexity_high,
        word_perplexity, word_perplexity_low, word_perplexity_high, byte_perplexity, accuracy, oov,
        bits_per_byte, bits_per_byte_low, bits_per_byte_high, protocol, run, evaluation, finished, slice,
        variant
    from perplexity
    inner join groups using (evaluation, run, checkpoint, set, protocol)
)
select * exclude (finished)
from final
order by finished desc nulls last, comparables, slice, source, lang, domain, place nulls last, name, evaluation;
