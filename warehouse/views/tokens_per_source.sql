-- question: how many tokens does each source give, and how well does the tokenizer fit it?
-- grain: one row per tokens dataset, split, source and language
create or replace view tokens_per_source as
with sums as (
    select
        token_stats.dataset, datasets.name as recipe, split, source, lang,
        sum(documents)::bigint as documents, sum(tokens)::bigint as tokens,
        sum(bytes)::bigint as bytes, sum(words)::bigint as words
    from token_stats
    inner join datasets using (dataset)
    group by all
),
final as (
    select
        *,
        tokens / nullif(sum(tokens) over (partition by dataset, split), 0) as share,
        bytes / nullif(tokens, 0) as bytes_per_token,
        tokens / nullif(words, 0) as tokens_per_word
    from sums
)
select * from final;
