-- question: what does each part of a recipe do to the perplexity of each source, language and domain?
-- grain: one row per ablation, thing dropped, set, protocol and slice; a row without numbers says why it may not be compared
-- difference is in bits per byte, without minus with, the mean over seeds of the paired difference over documents:
-- above zero, the part helps. Its variance is that over resampled documents plus that between seeds, divided by their
-- number; the 95 % interval is Student's, with the degrees of freedom of Satterthwaite (1946). One seed says nothing
-- of seeds: seed_deviation is null, the interval is over documents alone, and nothing is sure
-- nats_per_token is the same difference in nats per token; with and without share the tokenizer
create or replace view ablation_matrix as
with scored as (
    select ablation, dropped, training, seed, sums.*
    from ablation_runs
    inner join slice_sums as sums on sums.run = ablation_runs.run
),
pairs as (
    select
        scored.ablation, scored.dropped, scored.training, scored.seed, scored.evaluation,
        scored.set, scored.slice, scored.source, scored.lang, scored.domain, scored.documents,
        (scored.nats - base.nats) / nullif(scored.bytes, 0) / ln(2) as difference,
        (scored.nats - base.nats) / nullif(scored.tokens, 0) as nats_per_token,
        scored.resampled_nats as nats, base.resampled_nats as base_nats, scored.resampled_bytes as bytes,
        comparable(scored.protocol) as protocol
    from scored
    inner join ablation_runs using (ablation, dropped, seed)
    inner join slice_sums as base
        on base.run = ablation_runs.base and base.slice = scored.slice and base.source = scored.source
        and base.lang is not distinct from scored.lang and base.domain = scored.domain
        and obstacle(scored.set, scored.protocol, scored.document_set, base.set, base.protocol, base.document_set) is null
),
resamples as (
    select
        ablation, dropped, seed, set, protocol, slice, source, lang, domain,
        unnest(nats) as nats, unnest(base_nats) as base_nats, unnest(bytes) as bytes,
        generate_subscripts(bytes, 1) as resample
    from pairs
    where documents > 1
),
means as (
    select
        ablation, dropped, set, protocol, slice, source, lang, domain, resample,
        avg((nats - base_nats) / nullif(bytes, 0) / ln(2)) as difference
    from resamples
    group by all
),
over_documents as (
    select ablation, dropped, set, protocol, slice, source, lang, domain, var_samp(difference) as document_variance
    from means
    group by all
),
over_seeds as (
    select
        ablation, dropped, training, set, protocol, slice, source, lang, domain, documents,
        count(*) as seeds, avg(difference) as difference, avg(nats_per_token) as nats_per_token,
        stddev_samp(difference) as seed_deviation
    from pairs
    group by all
),
measured as (
    select
        over_seeds.*, document_variance, coalesce(seed_deviation ** 2 / seeds, 0) as seed_variance,
        document_variance + seed_variance as variance,
        variance ** 2 / nullif(
            document_variance ** 2 / nullif(documents - 1, 0) + coalesce(seed_variance ** 2 / nullif(seeds - 1, 0), 0), 0
        ) as df,
        student(df) * sqrt(variance) as margin
    from over_seeds
    left join over_documents
        on over_documents.ablation = over_seeds.ablation and over_documents.dropped = over_seeds.dropped
        and over_documents.set = over_seeds.set and over_documents.protocol = over_seeds.protocol
        and over_documents.slice = over_seeds.slice and over_documents.source = over_seeds.source
        and over_documents.lang is not distinct from over_seeds.lang and over_documents.domain = over_seeds.domain
),
obstacles as (
    select
        without.ablation, without.dropped, without.training,
        string_agg(distinct obstacle(
            without.set, without.protocol, without.document_set, base.set, base.protocol, base.document_set
        ), '; ') as obstacle
    from scored as without
    inner join ablation_runs using (ablation, dropped, seed)
    inner join slice_sums as base on base.run = ablation_runs.base and base.slice = 'all'
    where without.slice = 'all' and (without.ablation, without.dropped) not in (select (ablation, dropped) from pairs)
    group by all
),
final as (
    select
        ablation, dropped, training, set, slice, source, lang, domain, documents, seeds,
        finite(difference) as difference, finite(difference - margin) as difference_low,
        finite(difference + margin) as difference_high, finite(nats_per_token) as nats_per_token,
        finite(seed_deviation) as seed_deviation,
        case
            when documents < 6 then 'not sure: fewer than 6 documents'
            when seeds = 1 then 'not sure: one seed'
            when difference - margin > 0 then 'worse without'
            when difference + margin < 0 then 'better without'
            else 'no sure difference'
        end as verdict,
        protocol
    from measured
    union all by name
    select
        ablation, dropped, training, 'all' as slice, 'all' as source, 'all' as lang, 'all' as domain,
        'not comparable, because ' || obstacle as verdict
    from obstacles
)
select * from final;
