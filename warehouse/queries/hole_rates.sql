-- question: Which share of Wikipedia's articles has visible holes, and how many in-line templates left no text?
-- grain: one row per Wikipedia snapshot read, newest first
select
    source, finished, articles, articles_with_holes, hole_rate, long_articles, long_articles_with_holes,
    long_hole_rate, templates, templates_lost, template_loss, articles_with_lost_templates, dataset
from hole_rates
order by finished desc, source;
