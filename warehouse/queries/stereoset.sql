-- question: How does each run do on StereoSet (lms, ss, icat)?
-- grain: one row per set, bias type and run
select set, topic as bias_type, name, items, lms, ss, icat, run
from stereoset
order by set, bias_type = 'all', bias_type, icat desc;
