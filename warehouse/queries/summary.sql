-- question: What do these results cover?
-- grain: one row
select
    (select string_agg(recipe, ', ' order by recipe) from (
        select recipe from flow_runs union select recipe from trainings)) as recipes,
    (select greatest(max(finished), (select max(coalesce(ended, started)) from flow_runs)) from datasets) as changed,
    (select string_agg(version, ', ' order by version) from (
        select version from datasets union select version from flow_runs)) as versions,
    (select count(*) from datasets) as datasets,
    (select count(*) from trainings) as runs,
    (select count(*) from evaluations) as evaluations,
    (select sum(documents)::bigint from evaluations) as documents_scored,
    (select min(flow || ' ' || status) from (
        select flow, status from flow_runs order by coalesce(ended, started) desc limit 1)) as last_flow_run;
