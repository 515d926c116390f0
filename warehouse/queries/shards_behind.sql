-- question: Which token shards did the run of this perplexity read?
-- grain: one row per token shard
-- param: id: fingerprint of an evaluation, a run or a dataset, or its first digits
select role as split, path, tokens, shards.bytes, shards.sha256, shards.dataset
from behind($id)
inner join datasets on datasets.dataset = id and datasets.stage = 'tokens'
inner join shards on shards.dataset = id
where kind = 'dataset' and role in ('train', 'valid', 'test')
order by split, path;
