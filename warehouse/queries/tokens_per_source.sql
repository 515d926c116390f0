-- question: How many tokens does each source give to each split?
-- grain: one row per recipe (its newest tokens dataset), split, source and language
select
    recipe, split, source, lang, documents, tokens, share, bytes, words, bytes_per_token, tokens_per_word,
    tokens_per_source.dataset
from tokens_per_source
inner join newest_datasets using (dataset)
order by recipe, split, source, lang;
