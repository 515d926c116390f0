-- question: What does each part of a recipe do to its perplexity? (bits per byte without, minus with)
-- grain: one row per thing dropped, set and slice of the newest ablation of each recipe; of several strides the widest
with newest as (
    select dataset as ablation, name as recipe, finished
    from datasets
    where stage = 'ablate'
    qualify row_number() over (partition by name order by finished desc, dataset) = 1
),
strides as (
    select *, try_cast(regexp_extract(protocol, '\|stride:(\d+)', 1) as bigint) as stride
    from ablation_matrix
)
select
    recipe, dropped, training, set, slice, source, lang, domain, documents, seeds,
    difference, difference_low, difference_high, nats_per_token, seed_deviation, verdict, protocol, ablation
from strides
inner join newest using (ablation)
qualify stride is not distinct from max(stride) over (partition by ablation, set)
order by recipe, ablation, set, dropped, slice, source, lang;
