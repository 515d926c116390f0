-- question: Which documents does a run predict worst?
-- grain: one row per evaluation and document, by bits per byte
-- param: run: fingerprint of a run, or its first digits
-- param: n = 20: documents
select
    set, document, source, lang, finite(nats / nullif(bytes, 0) / ln(2)) as bits_per_byte,
    finite(nats / nullif(tokens, 0)) as nats_per_token, nats, tokens, words, bytes, oov, protocol
from evaluation_documents
where run = (select min(run) from trainings where starts_with(run, $run))
order by bits_per_byte desc nulls last, document, set, protocol, evaluation
limit $n::bigint;
