-- question: which datasets went into a dataset, directly or not?
-- grain: one row per dataset and dataset above it; a dataset is above itself
create or replace view upstream_datasets as
with recursive paths as (
    select dataset, dataset as above from datasets
    union
    select paths.dataset, dataset_inputs.input as above
    from paths
    inner join dataset_inputs on dataset_inputs.dataset = paths.above
    where dataset_inputs.kind = 'dataset'
),
final as (
    select paths.dataset, above, stage, name
    from paths
    inner join datasets on datasets.dataset = paths.above
)
select * from final;
