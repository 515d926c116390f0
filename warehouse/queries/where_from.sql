-- question: Which datasets, files and checksums made this perplexity?
-- grain: one row per run, dataset and raw file upstream; id of a file is its sha256
-- param: id: fingerprint of an evaluation or a run, or its first digits
with starts as (
    select evaluation as start from evaluations
    union
    select run from trainings
),
final as (
    select distance, kind, name, bytes, id
    from upstream((select min(start) from starts where starts_with(start, $id)))
)
select * from final
order by distance, kind, name, id;
