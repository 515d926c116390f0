-- question: which evaluations have slices that do not add up to all of their documents, or no slices?
-- grain: one row per evaluation, checkpoint, set, protocol and kind of slice; a document may have no language or domain
with added as (
    select
        evaluation, run, checkpoint, set, protocol, slice,
        sum(documents) as documents, sum(tokens) as tokens, sum(bytes) as bytes, sum(nats) as nats
    from slice_sums
    where slice in ('all', 'source')
    group by all
),
kinds as (
    select evaluations.*, slice
    from evaluations
    cross join (select unnest(['all', 'source']) as slice)
)
select kinds.evaluation, kinds.run, kinds.set, kinds.protocol, kinds.slice, kinds.documents, added.documents as found
from kinds
full join added using (evaluation, run, checkpoint, set, protocol, slice)
where kinds.documents is distinct from added.documents
    or kinds.tokens is distinct from added.tokens
    or kinds.bytes is distinct from added.bytes
    or not coalesce(abs(kinds.nats - added.nats) <= 1e-9 * abs(kinds.nats), false);
