-- question: What is each score on all held-out documents, and on those without overlap with training?
-- grain: one row per evaluation and source, of which `lmpipe leaks` or a recipe's [decontaminate] searched overlaps
select
    set, source, lang, name, documents, contaminated, bits_per_byte, bits_per_byte_clean,
    bits_per_byte_clean_low, bits_per_byte_clean_high, token_perplexity, token_perplexity_clean, run
from perplexity_clean
order by set, slice = 'all', source, lang, name;
