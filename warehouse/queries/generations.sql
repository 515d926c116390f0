-- question: What did the models write, and how probable is it to themselves?
-- grain: one row per continuation, the newest first
select
    coalesce(trainings.name, generations.run) as name, generations.prompt, generations.text, generations.tokens,
    generations.nats / nullif(generations.tokens, 0) as nats_per_token, generations.ending, generations.decoding,
    generations.recorded
from generations
left join trainings using (run)
order by generations.recorded desc, name, generations.number;
