-- question: How well do some runs predict each source?
-- grain: one row per run, evaluation, source and language, and one 'all' row
-- param: runs: their fingerprints, as [a, b]
select
    source, perplexity.lang, trainings.model, documents as docs, token_perplexity as perplexity,
    bits_per_byte as "bits/byte", printf('%.3f-%.3f', bits_per_byte_low, bits_per_byte_high) as "95 %"
from perplexity
inner join trainings using (run)
where list_contains($runs::varchar[], run)
order by slice = 'all', source, perplexity.lang, bits_per_byte;
