-- question: which part of a protocol must agree before two numbers per byte may be compared?
-- grain: a scalar; of an open vocabulary everything may differ, because bytes and words do not depend on the tokenizer
-- and nothing is unknown to it; a closed one gives <unk> a probability of its own and a lossy one folds characters
-- together, so their numbers stand for themselves; float64 is no other protocol than float32, only less rounded
create or replace macro comparable(protocol) as
    regexp_replace(regexp_replace(protocol, '\|vocab:open-[^|]*', '|vocab:open'), '\|dtype:fp(32|64)', '|dtype:fp32');
