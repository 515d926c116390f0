-- question: how much of a Wikipedia snapshot's text was lost in rendering?
-- grain: one row per ingest dataset that counts it; shares of articles, and of in-line content templates
create or replace view hole_rates as
with sums as (
    select
        dataset,
        max(number) filter (key = 'articles') as articles,
        coalesce(max(number) filter (key = 'articles_with_holes'), 0) as articles_with_holes,
        coalesce(max(number) filter (key = 'long_articles'), 0) as long_articles,
        coalesce(max(number) filter (key = 'long_articles_with_holes'), 0) as long_articles_with_holes,
        coalesce(max(number) filter (key = 'templates'), 0) as templates,
        coalesce(max(number) filter (key = 'templates_lost'), 0) as templates_lost,
        coalesce(max(number) filter (key = 'articles_with_lost_templates'), 0) as articles_with_lost_templates
    from counts
    group by dataset
),
final as (
    select
        sums.dataset, name as source, finished, articles, articles_with_holes, long_articles,
        long_articles_with_holes, templates, templates_lost, articles_with_lost_templates,
        articles_with_holes / nullif(articles, 0) as hole_rate,
        long_articles_with_holes / nullif(long_articles, 0) as long_hole_rate,
        templates_lost / nullif(templates, 0) as template_loss
    from sums
    inner join datasets using (dataset)
    where stage = 'ingest' and articles is not null
)
select * from final;
