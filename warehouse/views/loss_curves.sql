-- question: how did the loss fall?
-- grain: one row per run, split and logged step; loss in nats per token
create or replace view loss_curves as
select run, label as name, split, step, finite(loss) as loss, lr, grad_norm, tokens, tokens_per_s
from training_metrics
inner join run_labels using (run);
