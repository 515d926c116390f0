-- question: is run a better or worse than run b, document by document, and is the difference sure?
-- grain: one row per pair of evaluations and source, and one 'all' row; a pair that may not be compared
-- has one row that says why. difference is in bits per byte, a minus b: below zero, a is better
-- the interval is that of a ratio of sums over documents (see perplexity), of the paired differences
create or replace macro paired_differences(run_a, run_b) as table
with pairs as (
    select
        a.evaluation as evaluation_a, a.checkpoint as checkpoint_a, a.set as set_a, a.protocol as protocol_a,
        b.evaluation as evaluation_b, b.checkpoint as checkpoint_b, b.set as set_b, b.protocol as protocol_b,
        a.document_set = b.document_set as same_documents
    from perplexity as a
    cross join perplexity as b
    where a.slice = 'all' and b.slice = 'all' and a.run = run_a and b.run = run_b
),
judged as (
    select
        *,
        case
            when set_a <> set_b then 'the sets are ' || set_a || ' and ' || set_b
            when comparable(protocol_a) <> comparable(protocol_b) then 'the protocols differ: '
                || array_to_string(list_filter(string_split(comparable(protocol_a), '|'),
                    lambda part: not list_contains(string_split(comparable(protocol_b), '|'), part)), ' ')
                || ' against '
                || array_to_string(list_filter(string_split(comparable(protocol_b), '|'),
                    lambda part: not list_contains(string_split(comparable(protocol_a), '|'), part)), ' ')
            when not same_documents then 'they scored different documents'
        end as obstacle
    from pairs
),
differences as (
    select
        evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set_a, protocol_a, protocol_b,
        a.slice, a.source, a.lang, a.bytes, a.nats - b.nats as nats
    from judged
    inner join evaluation_slices as a
        on a.evaluation = evaluation_a and a.run = run_a and a.checkpoint = checkpoint_a
        and a.set = set_a and a.protocol = protocol_a
    inner join evaluation_slices as b
        on b.evaluation = evaluation_b and b.run = run_b and b.checkpoint = checkpoint_b
        and b.set = set_b and b.protocol = protocol_b
        and b.slice = a.slice and b.source = a.source and b.document = a.document
    where obstacle is null
),
ratios as (
    select *, sum(nats) over slices / nullif(sum(bytes) over slices, 0) as per_byte
    from differences
    window slices as (partition by evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, protocol_a, protocol_b, source, lang)
),
measured as (
    select
        evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set_a as set, slice, source, lang,
        count(*) as documents,
        any_value(per_byte) / ln(2) as difference,
        1.959964 * sqrt(sum((nats - per_byte * bytes) ** 2) * count(*) / nullif(count(*) - 1, 0))
            / nullif(sum(bytes), 0) / ln(2) as margin,
        avg((nats > 0)::int) as worse_share
    from ratios
    group by evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set_a, protocol_a, protocol_b, slice, source, lang
),
final as (
    select
        evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set, slice, source, lang, documents,
        finite(difference) as difference,
        finite(difference - margin) as difference_low,
        finite(difference + margin) as difference_high,
        worse_share,
        case
            when margin is null then 'not sure: fewer than 2 documents'
            when difference + margin < 0 then 'a is better'
            when difference - margin > 0 then 'b is better'
            else 'no sure difference'
        end as verdict
    from measured
    union all by name
    select
        evaluation_a, evaluation_b, checkpoint_a, checkpoint_b, set_a as set, 'all' as slice, 'all' as source, 'all' as lang,
        'not comparable, because ' || obstacle as verdict
    from judged
    where obstacle is not null
)
select * from final;
