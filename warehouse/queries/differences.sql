-- question: What would be different between run a and run b?
-- grain: one row per difference: settings, inputs, code, data, machine; a side that lacks the thing is empty
-- param: a: fingerprint of a run, or its first digits
-- param: b: fingerprint of the other
from differences(
    (select min(run) from trainings where starts_with(run, $a)),
    (select min(run) from trainings where starts_with(run, $b))
);
