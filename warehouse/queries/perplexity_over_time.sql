-- question: How did perplexity fall from evaluation to evaluation, and which were records?
-- grain: one row per evaluation and checkpoint, oldest first within what may be compared
select evaluated, set, name, bits_per_byte, best_so_far, is_record, token_perplexity, word_perplexity, run, protocol
from perplexity_over_time
order by set, comparable_protocol, document_set, evaluated, evaluation, run, checkpoint, protocol;
