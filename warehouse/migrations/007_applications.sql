-- applications: what texts were given a probability, and what models wrote.

-- one row per scored collection of texts, run, checkpoint and context
create table scores (
    score varchar primary key,     -- sha256 over run, checkpoint, context and all texts with their ids
    run varchar not null,
    checkpoint varchar not null,   -- sha256 of the weights
    context bigint not null,       -- window in tokens
    inputs json not null,          -- names of the files
    texts bigint not null,
    tokens bigint not null,
    bytes bigint not null,
    nats double not null,
    recorded timestamp not null
);

-- one row per continuation
create table generations (
    generation varchar primary key, -- sha256 over run, checkpoint, decoding, number and prompt
    run varchar not null,
    checkpoint varchar not null,
    decoding json not null,
    number bigint not null,        -- of the prompt in its call; the draws depend on it
    prompt varchar not null,
    text varchar not null,
    tokens bigint not null,
    nats double not null,          -- -ln p of the tokens by the model itself, before any filter
    ending varchar not null check (ending in ('stop', 'length')),
    recorded timestamp not null
);
