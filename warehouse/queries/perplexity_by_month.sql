-- question: How does bits per byte go over the months in which documents were written?
-- grain: one row per source, month and run
select
    source, strftime(month, '%Y-%m') as month, name as run, documents, bits_per_byte, bits_per_byte_low,
    bits_per_byte_high, token_perplexity
from perplexity_by_month
order by source, month, run;
