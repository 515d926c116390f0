-- question: Is a run better or worse than the one before, on the documents that both scored?
-- grain: one row per source, and one 'all' row; none where the protocols differ in more than set and vocabulary
-- param: run: its fingerprint
-- param: last: that of the run before
-- difference is in bits per byte, run minus last: above zero, the run is worse; the interval is that of
-- paired_differences, which asks for equal sets; a corpus that grows has others each time
with scored as (
    select *, regexp_replace(comparable(protocol), '\|set:[^|]*', '') as way
    from evaluation_documents
    inner join datasets on datasets.dataset = evaluation_documents.evaluation
    where run in ($run, $last)
    qualify row_number() over (partition by run, document, way order by finished desc, evaluation) = 1
),
differences as (
    select a.document, a.source, a.bytes, a.nats - b.nats as nats
    from scored as a
    inner join scored as b on a.document = b.document and a.bytes = b.bytes and a.way = b.way
    where a.run = $run and b.run = $last
    qualify a.way = min(a.way) over () -- of two strides one
),
slices as (
    from differences
    union all by name
    select * replace ('all' as source) from differences
),
ratios as (
    select *, sum(nats) over (partition by source) / nullif(sum(bytes) over (partition by source), 0) as per_byte
    from slices
),
measured as (
    select
        source, count(*) as documents, any_value(per_byte) / ln(2) as difference,
        1.959964 * sqrt(sum((nats - per_byte * bytes) ** 2) * count(*) / nullif(count(*) - 1, 0))
            / nullif(sum(bytes), 0) / ln(2) as margin
    from ratios
    group by source
)
select
    source, documents, finite(difference) as difference, finite(difference - margin) as difference_low,
    finite(difference + margin) as difference_high, coalesce(difference - margin > 0, false) as worse
from measured
order by source = 'all', source;
