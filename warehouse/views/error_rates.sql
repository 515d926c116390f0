-- question: which way of choosing hypotheses makes the fewest errors?
-- grain: one row per rescore dataset and system; rates are shares of the reference's words and characters
create or replace view error_rates as
select
    evaluation, datasets.name, system,
    count(*) as utterances, sum(words) as words, sum(word_errors) as word_errors,
    sum(word_errors) / nullif(sum(words), 0) as word_error_rate,
    sum(character_errors) / nullif(sum(characters), 0) as character_error_rate
from recognitions
left join datasets on datasets.dataset = recognitions.evaluation
group by all;
