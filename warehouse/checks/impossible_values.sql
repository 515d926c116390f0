-- question: which numbers are negative, infinite or not a number?
-- grain: one row per bad number
select 'evaluation_documents' as thing, evaluation as id, document as part, nats as value
from evaluation_documents
where not isfinite(nats) or least(nats, tokens, words, bytes, oov) < 0
union all
select 'training_metrics', run, split || ' step ' || step, loss
from training_metrics
where not isfinite(loss) or not isfinite(coalesce(grad_norm, 0)) or loss < 0
union all
select 'funnel', dataset, source, least(documents, bytes, words)
from funnel
where least(documents, bytes, words) < 0
union all
select 'token_stats', dataset, split || ' ' || source, least(documents, tokens, bytes, words)
from token_stats
where least(documents, tokens, bytes, words) < 0
union all
select 'counts', dataset, key, number
from counts
where number < 0
union all
select 'benchmarks', name, unit, value
from benchmarks
where not isfinite(value);
