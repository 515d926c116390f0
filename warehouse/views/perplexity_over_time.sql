-- question: how did the best perplexity of each set fall from evaluation to evaluation?
-- grain: one row per evaluation and checkpoint; best_so_far is among what may be compared, up to its time
create or replace view perplexity_over_time as
with dated as (
    select leaderboard.*, finished as evaluated
    from leaderboard
    inner join datasets on dataset = evaluation
),
final as (
    select
        evaluated, set, comparable_protocol, document_set, name, bits_per_byte, token_perplexity, word_perplexity,
        min(bits_per_byte) over times as best_so_far,
        coalesce(bits_per_byte < min(bits_per_byte) over (times rows between unbounded preceding and 1 preceding),
            bits_per_byte is not null) as is_record,
        evaluation, run, checkpoint, protocol
    from dated
    window times as (
        partition by set, comparable_protocol, document_set
        order by evaluated, evaluation, run, checkpoint, protocol
    )
)
select * from final;
