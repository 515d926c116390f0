-- question: How many tokens did each source give to one tokens dataset?
-- grain: one row per source, over all splits and languages
-- param: dataset: fingerprint of a tokens dataset
select
    source, sum(documents)::bigint as documents, sum(tokens)::bigint as tokens,
    (sum(tokens) filter (split = 'train'))::bigint as train_tokens, sum(bytes) / sum(tokens) as bytes_per_token
from tokens_per_source
where dataset = $dataset
group by all
order by source;
