-- question: why may two evaluations not be compared per byte? (null where they may)
-- grain: a scalar; names the parts of the two protocols that differ
create or replace macro obstacle(set_a, protocol_a, documents_a, set_b, protocol_b, documents_b) as case
    when set_a <> set_b then 'the sets are ' || set_a || ' and ' || set_b
    when comparable(protocol_a) <> comparable(protocol_b) then 'the protocols differ: '
        || array_to_string(list_filter(string_split(comparable(protocol_a), '|'),
            lambda part: not list_contains(string_split(comparable(protocol_b), '|'), part)), ' ')
        || ' against '
        || array_to_string(list_filter(string_split(comparable(protocol_b), '|'),
            lambda part: not list_contains(string_split(comparable(protocol_a), '|'), part)), ' ')
    when documents_a <> documents_b then 'they scored different documents'
end;
