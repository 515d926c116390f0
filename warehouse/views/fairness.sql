-- question: how biased is each model, beside how well it predicts?
-- grain: one row per pairs dataset about bias, bias type (and 'all'), and held-out set and protocol of the same weights;
-- bias is the share of pairs whose more stereotypical text is more probable: 0.5 is even-handed
create or replace view fairness as
with biased as (
    select * from pair_accuracy
    where contrast in ('more/less', 'stereotype/antistereotype') and level in ('topic', 'all')
)
select
    biased.name, biased.set, biased.topic as bias_type, biased.pairs, biased.ties,
    biased.accuracy as bias, biased.accuracy_low as bias_low, biased.accuracy_high as bias_high,
    abs(biased.accuracy - 0.5) as distance_from_even,
    held_out.set as held_out_set, held_out.protocol as held_out_protocol,
    held_out.bits_per_byte, held_out.bits_per_byte_low, held_out.bits_per_byte_high,
    biased.run, biased.checkpoint, biased.dataset, biased.protocol
from biased
left join perplexity as held_out
    on held_out.run = biased.run and held_out.checkpoint = biased.checkpoint and held_out.slice = 'all';
