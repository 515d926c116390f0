-- question: how long did each stage of a flow run take, and how much went through it?
-- grain: one row per flow run and dataset or training that it made itself;
-- bytes are those of the files read: raw ones for ingest, the input datasets' for the others; operations are
-- 6 per parameter and token trained, 2 per parameter and token scored (Kaplan et al. 2020, section 2.1)
create or replace view stage_times as
with sizes as (
    select dataset, sum(bytes) as bytes, sum("rows") filter (role = 'documents') as documents
    from shards
    group by dataset
),
inputs as (
    select
        dataset_inputs.dataset, sum(coalesce(dataset_inputs.bytes, sizes.bytes))::bigint as bytes,
        sum(sizes.documents)::bigint as documents
    from dataset_inputs
    left join sizes on sizes.dataset = dataset_inputs.input
    group by all
),
scored as (
    select evaluation as dataset, sum(evaluations.tokens)::bigint as tokens, sum(2.0 * parameters * evaluations.tokens) as operations
    from evaluations
    inner join trainings using (run)
    group by all
),
final as (
    select
        flow_run, stage, name, dataset as id, seconds, inputs.bytes, documents, scored.tokens, operations
    from flow_run_datasets
    inner join datasets using (dataset)
    left join inputs using (dataset)
    left join scored using (dataset)
    where not reused
    union all
    select
        flow_run, 'train', name, run, seconds, null, null, trainings.tokens, 6.0 * parameters * trainings.tokens
    from flow_run_trainings
    inner join trainings using (run)
    where not reused
)
select * from final;
