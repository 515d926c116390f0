-- question: which text of each pair does a model prefer?
-- grain: one row per pair scored; preferred is 1 for the first text, 0 for the second, 1/2 for a tie; per token
-- the same after each text's nats were divided by its tokens (StereoSet's way with causal models)
create or replace view pair_preferences as
select
    *,
    (1 + sign(nats_second - nats_first)) / 2 as preferred,
    (1 + sign(nats_second / nullif(tokens_second, 0) - nats_first / nullif(tokens_first, 0))) / 2 as preferred_per_token
from pair_scores;
