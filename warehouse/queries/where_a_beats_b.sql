-- question: On which documents does run a beat run b most?
-- grain: one row per document that both scored by comparable protocols, by nats saved
-- param: a: fingerprint of a run, or its first digits
-- param: b: fingerprint of the other
-- param: n = 20: documents
with chosen as (
    select
        (select min(run) from trainings where starts_with(run, $a)) as run_a,
        (select min(run) from trainings where starts_with(run, $b)) as run_b
)
select
    a.set, a.document, a.source, a.lang, b.nats - a.nats as nats_saved,
    finite((a.nats - b.nats) / nullif(a.bytes, 0) / ln(2)) as difference,
    finite(a.nats / nullif(a.bytes, 0) / ln(2)) as bits_per_byte_a,
    finite(b.nats / nullif(b.bytes, 0) / ln(2)) as bits_per_byte_b, a.bytes, a.protocol
from chosen
inner join evaluation_documents as a on a.run = run_a
inner join evaluation_documents as b
    on b.run = run_b and b.document = a.document and b.set = a.set and b.bytes = a.bytes
    and comparable(b.protocol) = comparable(a.protocol)
where b.nats > a.nats
order by nats_saved desc, a.document, a.set, a.protocol, a.evaluation, b.evaluation
limit $n::bigint;
