-- question: Which run is best on each source?
-- grain: one row per source of each set of documents and comparable protocol
select set, source, lang, name, bits_per_byte, bits_per_byte_low, bits_per_byte_high, token_perplexity, documents, run, protocol
from perplexity
where slice = 'source' and bits_per_byte is not null
qualify row_number() over (
    partition by set, comparable(protocol), source, lang, document_set order by bits_per_byte, run, evaluation
) = 1
order by set, source, lang;
