-- question: What does each part of a recipe do to its perplexity? (bits per byte without, minus with)
-- grain: one row per thing dropped and slice of the newest ablation of each recipe
with newest as (
    select dataset as ablation, name as recipe, finished
    from datasets
    where stage = 'ablate'
    qualify row_number() over (partition by name order by finished desc, dataset) = 1
)
select
    recipe, dropped, training, set, slice, source, lang, domain, documents, seeds,
    difference, difference_low, difference_high, nats_per_token, seed_deviation, verdict, ablation
from ablation_matrix
inner join newest using (ablation)
order by recipe, ablation, set, dropped, slice, source, lang;
