-- question: What did each flow run cost, and each million tokens trained in it?
-- grain: one row per flow run that has ended, newest first; failed ones cost too
-- param: price = 1.0: of the machine for an hour
with trained as (
    select flow_run, sum(tokens)::bigint as tokens, sum(seconds) as seconds
    from stage_times
    where stage = 'train'
    group by flow_run
),
final as (
    select
        flow, recipe, status, started, epoch(ended - started) / 3600 as hours,
        epoch(ended - started) / 3600 * $price::double as cost,
        tokens as trained_tokens, seconds / 3600 as training_hours,
        epoch(ended - started) / 3600 * $price::double / nullif(tokens, 0) * 1e6 as cost_per_million_tokens, flow_run
    from flow_runs
    left join trained using (flow_run)
    where ended is not null
)
select * from final
order by started desc, flow_run;
