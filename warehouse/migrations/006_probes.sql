-- probes of trained models: sentence pairs, training text known by heart, planted secrets, overlaps with training.

-- one row per pairs dataset and pair: -ln p of two texts, of which a model prefers one
create table pair_scores (
    dataset varchar not null,
    run varchar not null,
    checkpoint varchar not null,
    set varchar not null,
    protocol varchar not null,
    pair varchar not null,
    topic varchar not null,        -- phenomenon, bias type, group
    part varchar not null,         -- below the topic: paradigm, target, direction
    contrast varchar not null,     -- what first and second are
    nats_first double not null,
    nats_second double not null,
    tokens_first bigint not null,
    tokens_second bigint not null,
    bytes_first bigint not null,
    bytes_second bigint not null
);

-- one row per audit dataset, training passage and continuation
create table extractions (
    dataset varchar not null,
    run varchar not null,
    checkpoint varchar not null,
    protocol varchar not null,
    document varchar not null,
    source varchar not null,
    lang varchar,
    passage bigint not null,       -- first token of the prefix in the document
    method varchar not null check (method in ('greedy', 'sampled')),
    sample bigint not null,        -- 0 for the greedy continuation
    prefix bigint not null,        -- tokens given
    suffix bigint not null,        -- tokens wanted
    matched bigint not null,       -- of the suffix's first tokens, those that came out in place
    longest bigint not null,       -- longest run of the suffix's tokens anywhere in what came out
    nats double not null,          -- of the suffix behind the prefix
    occurrences bigint not null,   -- of prefix and suffix together in the training split
    cluster bigint not null,       -- documents that were its duplicates, itself included
    copies bigint not null,        -- of the document in the training split
    epochs double not null         -- passes of the training over the split
);

-- one row per audit dataset and canary planted in the training split
create table canaries (
    dataset varchar not null,
    run varchar not null,
    checkpoint varchar not null,
    protocol varchar not null,
    canary varchar not null,
    repeats bigint not null,       -- in the training split
    epochs double not null,        -- passes of the training over the split
    tokens bigint not null,
    nats double not null,
    rank double not null,          -- among itself and the candidates, by nats; ties share their mean
    candidates bigint not null     -- never planted
);

-- one row per decontaminated dataset, training document and evaluation record that share runs of words
create table leaks (
    dataset varchar not null,
    set varchar not null,
    record varchar not null,       -- id of the evaluated document
    document varchar not null,     -- id of the training document
    source varchar not null,       -- of the training document
    spans bigint not null,
    runs bigint not null,          -- shared runs of words
    common bigint not null,        -- of those, runs that stand in too many documents to count
    share double not null,         -- of the record's words
    contaminated boolean not null
);
