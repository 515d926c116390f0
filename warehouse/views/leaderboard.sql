-- question: which run predicts a set best?
-- grain: one row per evaluation and checkpoint; ranked by bits per byte among those that scored the same
-- documents of the same set with protocols that differ in nothing but the vocabulary; variants of ablations apart
create or replace view leaderboard as
with scored as (
    select *, comparable(protocol) as comparable_protocol, run in (select run from ablation_runs) as variant
    from perplexity
    where slice = 'all'
),
final as (
    select
        case when bits_per_byte is not null then
            rank() over (
                partition by set, comparable_protocol, document_set, variant order by bits_per_byte nulls last
            )
        end as place,
        scored.* exclude (slice, source, lang, domain),
        parameters, trainings.tokens as trained_tokens, wall_seconds, device
    from scored
    left join trainings using (run)
)
select * from final;
