-- question: how often does each model prefer the first text of a pair, by topic, and how sure is that?
-- grain: one row per pairs dataset, set and contrast at three levels: part, topic, all (ties count half)
-- the 95 % interval is Wilson's (1927; Brown, Cai and DasGupta 2001 recommend it): it stays within 0 and 1
create or replace view pair_accuracy as
with counted as (
    select
        dataset, run, checkpoint, set, protocol, contrast,
        case when grouping(part) = 0 then 'part' when grouping(topic) = 0 then 'topic' else 'all' end as level,
        coalesce(topic, 'all') as topic, coalesce(part, 'all') as part,
        count(*) as pairs, sum(preferred) as preferred, count(*) filter (where preferred = 0.5) as ties,
        sum(preferred_per_token) as preferred_per_token,
        sum(nats_second - nats_first) as nats_between
    from pair_preferences
    group by grouping sets (
        (dataset, run, checkpoint, set, protocol, contrast, topic, part),
        (dataset, run, checkpoint, set, protocol, contrast, topic),
        (dataset, run, checkpoint, set, protocol, contrast)
    )
),
shares as (
    select *, preferred / pairs as accuracy, 1.959964 ** 2 as z2 from counted
),
final as (
    select
        shares.* exclude (preferred, preferred_per_token, nats_between, z2), coalesce(label, left(run, 8)) as name,
        greatest(0, (accuracy + z2 / (2 * pairs)
            - sqrt(z2 * accuracy * (1 - accuracy) / pairs + z2 ** 2 / (4 * pairs ** 2))) / (1 + z2 / pairs)) as accuracy_low,
        least(1, (accuracy + z2 / (2 * pairs)
            + sqrt(z2 * accuracy * (1 - accuracy) / pairs + z2 ** 2 / (4 * pairs ** 2))) / (1 + z2 / pairs)) as accuracy_high,
        preferred_per_token / pairs as accuracy_per_token,
        nats_between / pairs as mean_nats_between
    from shares
    left join run_labels using (run)
)
select * from final;
