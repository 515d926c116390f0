-- question: which part of a protocol must agree before two numbers per byte may be compared?
-- grain: a scalar; the vocabulary may differ, because bytes and words do not depend on the tokenizer
create or replace macro comparable(protocol) as regexp_replace(protocol, '\|vocab:[^|]*', '');
