-- question: How biased is each run, by type of bias, beside its bits per byte?
-- grain: one row per set, bias type, run, held-out set and protocol; bias 0.5 is even-handed
select set, bias_type, name, pairs, bias, bias_low, bias_high, bits_per_byte, held_out_protocol, run
from fairness
order by set, bias_type = 'all', bias_type, bits_per_byte, held_out_protocol;
