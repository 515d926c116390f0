-- question: How well do some runs predict each source?
-- grain: one row per run, evaluation, protocol, source and language, and one 'all' row; stride tells protocols apart
-- param: runs: their fingerprints, as [a, b]
select
    source, perplexity.lang, trainings.model, documents as docs,
    try_cast(regexp_extract(protocol, '\|stride:(\d+)', 1) as bigint) as stride, token_perplexity as perplexity,
    bits_per_byte as "bits/byte", printf('%.3f-%.3f', bits_per_byte_low, bits_per_byte_high) as "95 %"
from perplexity
inner join trainings using (run)
where list_contains($runs::varchar[], run) and slice <> 'lang'
order by slice = 'all', source, perplexity.lang, stride, bits_per_byte;
