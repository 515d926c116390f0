-- question: for which runs was it asked what their training documents share with which held-out set?
-- grain: one row per run, dataset of overlaps and held-out set (valid and test are the recipe's own)
-- a dataset of overlaps concerns a run if it looked at the very split that the run's tokens were encoded from
create or replace view leak_searches as
with encoded as (
    select distinct trainings.run, chosen.dataset as chosen
    from trainings
    inner join upstream_datasets as encodings
        on encodings.dataset = trainings.dataset and encodings.stage = 'encode'
    inner join dataset_inputs on dataset_inputs.dataset = encodings.above
    inner join datasets as chosen
        on chosen.dataset = dataset_inputs.input and chosen.stage in ('split', 'decontaminate')
),
searches as (
    select encoded.run, datasets.dataset
    from encoded
    inner join dataset_inputs on dataset_inputs.input = encoded.chosen
    inner join datasets on datasets.dataset = dataset_inputs.dataset and datasets.stage = 'decontaminate'
    union
    select encoded.run, datasets.dataset
    from encoded
    inner join datasets
        on datasets.dataset = encoded.chosen and datasets.stage = 'decontaminate' and datasets.settings ->> 'remove' = 'false'
)
select searches.run, searches.dataset, substr(counts.key, 9) as set, counts.number as records
from searches
inner join dataset_inputs on dataset_inputs.dataset = searches.dataset
inner join datasets as indexes on indexes.dataset = dataset_inputs.input and indexes.stage = 'heldout'
inner join counts on counts.dataset = indexes.dataset and counts.key like 'records.%';
