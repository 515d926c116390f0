-- question: which tokens datasets hold another number of tokens than their sources gave them?
-- grain: one row per tokens dataset that has such sums, and split
with packed as (
    select dataset, role as split, sum(shards.tokens) as tokens
    from shards
    inner join datasets using (dataset)
    where stage = 'tokens' and role in ('train', 'valid', 'test') and dataset in (select dataset from token_stats)
    group by all
),
given as (
    select dataset, split, sum(tokens) as tokens
    from token_stats
    where dataset in (select dataset from packed)
    group by all
)
select dataset, split, packed.tokens as packed, given.tokens as given
from packed
full join given using (dataset, split)
where coalesce(packed.tokens, 0) <> coalesce(given.tokens, 0);
