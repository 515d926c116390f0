-- question: which evaluations do not add up to the sums taken when they were recorded?
-- grain: one row per evaluation, checkpoint, set and protocol; nats to 1e-9 (float sums depend on their order)
with sums as (
    select
        evaluation, run, checkpoint, set, protocol,
        count(*) as documents, sum(tokens) as tokens, sum(words) as words, sum(bytes) as bytes, sum(nats) as nats,
        count(*) - count(distinct document) as repeated
    from evaluation_documents
    group by all
)
select evaluations.*, sums.documents as found_documents, sums.tokens as found_tokens, sums.nats as found_nats, repeated
from evaluations
full join sums using (evaluation, run, checkpoint, set, protocol)
where repeated > 0
    or evaluations.documents is distinct from sums.documents
    or evaluations.tokens is distinct from sums.tokens
    or evaluations.words is distinct from sums.words
    or evaluations.bytes is distinct from sums.bytes
    or not coalesce(abs(evaluations.nats - sums.nats) <= 1e-9 * abs(sums.nats), false);
