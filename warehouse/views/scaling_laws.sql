-- question: which law do the losses of each ladder follow, L = E + A / N^alpha + B / D^beta?
-- grain: one row per ladder dataset, the newest of each name marked
create or replace view scaling_laws as
with laws as (
    select
        dataset,
        max(value) filter (quantity = 'E') as E,
        max(value) filter (quantity = 'A') as A,
        max(value) filter (quantity = 'B') as B,
        max(value) filter (quantity = 'alpha') as alpha,
        max(low) filter (quantity = 'alpha') as alpha_low,
        max(high) filter (quantity = 'alpha') as alpha_high,
        max(value) filter (quantity = 'beta') as beta,
        max(low) filter (quantity = 'beta') as beta_low,
        max(high) filter (quantity = 'beta') as beta_high
    from ladder_fits
    group by dataset
),
final as (
    select
        name, laws.*, finished,
        row_number() over (partition by name order by finished desc, dataset) = 1 as newest
    from laws
    inner join datasets using (dataset)
)
select * from final;
