-- question: How often does each run prefer the acceptable sentence, by phenomenon?
-- grain: one row per set, topic and run, with 95 % interval; ties count half
select set, topic, name, pairs, ties, accuracy, accuracy_low, accuracy_high, run
from pair_accuracy
where contrast = 'good/bad' and level in ('topic', 'all')
order by set, level, topic, accuracy desc;
