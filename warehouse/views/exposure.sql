-- question: how well does each model know the secrets that were planted in its training split?
-- grain: one row per audit dataset and canary; exposure in bits: log2 of (candidates + 1) / rank (Carlini et al. 2019,
-- section 4): 1.44 on average for a secret never seen, log2 (candidates + 1) at most
create or replace view exposure as
select
    canaries.*, coalesce(label, left(run, 8)) as name, repeats * epochs as times_seen,
    log2((candidates + 1) / rank) as exposure, log2(candidates + 1) as largest_exposure
from canaries
left join run_labels using (run);
