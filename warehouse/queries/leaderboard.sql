-- question: Which run predicts its held-out set best?
-- grain: one row per evaluation, best first within what may be compared, variants of ablations after the rest
select
    set, place, name, bits_per_byte, bits_per_byte_low, bits_per_byte_high,
    token_perplexity, word_perplexity, documents, parameters, trained_tokens, wall_seconds, variant, run, protocol
from leaderboard
order by set, comparable_protocol, document_set, variant, place, name, run;
