-- question: How well do some runs predict each source? (runs: their fingerprints)
-- grain: one row per run, evaluation, source and language, and one 'all' row
select
    source, name as run, documents, token_perplexity as perplexity, bits_per_byte,
    bits_per_byte_low as low_95, bits_per_byte_high as high_95
from perplexity
where list_contains($runs, run)
order by slice = 'all', source, lang, bits_per_byte;
