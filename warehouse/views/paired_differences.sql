-- question: is run a better or worse than run b, document by document, and is the difference sure?
-- grain: one row per pair of evaluations and slice; where nothing of one run may be compared with anything of the
-- other, one row per pair that says why
-- difference is in bits per byte, a minus b: below zero, a is better; the 95 % interval holds the middle 950 of a
-- thousand resamples of the documents, the same ones for a and b (see slice_sums); won_share: documents that a won
-- fewer than six documents are never sure: of five, one of two equal runs wins all in one case of 16
create or replace macro paired_differences(run_a, run_b) as table
with pairs as (
    select
        row_number() over () as pair,
        a.evaluation as evaluation_a, a.checkpoint as checkpoint_a, a.set as set_a, a.protocol as protocol_a,
        b.evaluation as evaluation_b, b.checkpoint as checkpoint_b, b.set as set_b, b.protocol as protocol_b,
        obstacle(a.set, a.protocol, a.document_set, b.set, b.protocol, b.document_set) as obstacle
    from slice_sums as a
    cross join slice_sums as b
    where a.run = run_a and b.run = run_b and a.slice = 'all' and b.slice = 'all'
),
judged as (
    select *
    from pairs
    qualify obstacle is null or (
        not bool_or(obstacle is null) over (partition by evaluation_a, checkpoint_a, set_a, protocol_a)
        and not bool_or(obstacle is null) over (partition by evaluation_b, checkpoint_b, set_b, protocol_b)
    )
),
slices as (
    select
        pair, a.slice, a.source, a.lang, a.domain, a.documents,
        (a.nats - b.nats) / nullif(a.bytes, 0) / ln(2) as difference,
        a.resampled_nats as nats_a, b.resampled_nats as nats_b, a.resampled_bytes as bytes
    from judged
    inner join slice_sums as a
        on a.run = run_a and a.evaluation = evaluation_a and a.checkpoint = checkpoint_a
        and a.set = set_a and a.protocol = protocol_a
    inner join slice_sums as b
        on b.run = run_b and b.evaluation = evaluation_b and b.checkpoint = checkpoint_b
        and b.set = set_b and b.protocol = protocol_b
        and b.slice = a.slice and b.source = a.source and b.lang is not distinct from a.lang and b.domain = a.domain
    where obstacle is null
),
resamples as (
    select
        pair, slice, source, lang, domain,
        unnest(nats_a) as nats_a, unnest(nats_b) as nats_b, unnest(bytes) as bytes
    from slices
    where documents > 1
),
intervals as (
    select
        pair, slice, source, lang, domain,
        quantile_cont((nats_a - nats_b) / nullif(bytes, 0) / ln(2), [0.025, 0.975]) as ends
    from resamples
    group by all
),
cells as (
    select
        pair, a.source, a.lang, a.domain,
        count(*) filter (a.nats < b.nats) as won, count(*) filter (a.nats > b.nats) as lost
    from judged
    inner join evaluation_documents as a
        on a.run = run_a and a.evaluation = evaluation_a and a.checkpoint = checkpoint_a
        and a.set = set_a and a.protocol = protocol_a
    inner join evaluation_documents as b
        on b.run = run_b and b.evaluation = evaluation_b and b.checkpoint = checkpoint_b
        and b.set = set_b and b.protocol = protocol_b and b.document = a.document
    where obstacle is null
    group by all
),
wins as (
    select slices.pair, slice, slices.source, slices.lang, slices.domain, sum(won) as won, sum(lost) as lost
    from slices
    inner join cells
        on cells.pair = slices.pair and case slice
            when 'all' then true
            when 'source' then cells.source = slices.source and cells.lang is not distinct from slices.lang
            when 'lang' then cells.lang = slices.lang
            else cells.source || '/' || cells.domain = slices.source and cells.lang is not distinct from slices.lang
        end
    group by all
),
measured as (
    select
        slices.* exclude (nats_a, nats_b, bytes, difference), finite(difference) as difference,
        finite(ends[1]) as difference_low, finite(ends[2]) as difference_high,
        won / documents as won_share, lost / documents as worse_share
    from slices
    left join intervals
        on intervals.pair = slices.pair and intervals.slice = slices.slice and intervals.source = slices.source
        and intervals.lang is not distinct from slices.lang and intervals.domain = slices.domain
    left join wins
        on wins.pair = slices.pair and wins.slice = slices.slice and wins.source = slices.source
        and wins.lang is not distinct from slices.lang and wins.domain = slices.domain
),
final as (
    select
        evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set_a as set, protocol_a, protocol_b,
        coalesce(slice, 'all') as slice, coalesce(source, 'all') as source,
        case when slice is null then 'all' else lang end as lang, coalesce(domain, 'all') as domain,
        documents, difference, difference_low, difference_high, won_share, worse_share,
        case
            when obstacle is not null then 'not comparable, because ' || obstacle
            when documents < 6 then 'not sure: fewer than 6 documents'
            when difference_high < 0 then 'a is better'
            when difference_low > 0 then 'b is better'
            else 'no sure difference'
        end as verdict
    from judged
    left join measured using (pair)
)
select * from final;
