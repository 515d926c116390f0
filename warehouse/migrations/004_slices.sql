-- intervals: the sums of each slice of an evaluation, and the same over a thousand resamples of its documents
-- (Poisson bootstrap: Chamandy et al. 2012, Estimating uncertainty for massive data streams). A document's weight in
-- resample i is a function of its id and i alone, so that element i of two evaluations of the same documents belong
-- together: the difference of their resampled sums is the resample of their difference.

-- one row per evaluation, checkpoint, set, protocol and slice
create table slice_sums (
    evaluation varchar not null,
    run varchar not null,
    checkpoint varchar not null,
    set varchar not null,
    protocol varchar not null,
    slice varchar not null check (slice in ('all', 'source', 'lang', 'domain')),
    source varchar not null,       -- 'all' where the slice is not by source; source/domain where it is by domain
    lang varchar,                  -- the same; null where the language is not known
    domain varchar not null,       -- the same
    documents bigint not null,
    tokens bigint not null,
    words bigint not null,
    bytes bigint not null,
    oov bigint not null,
    correct bigint not null,       -- last words found
    answers bigint not null,       -- last words that were to be found
    nats double not null,
    document_set varchar not null, -- hash of ids and bytes: equal where the documents are
    resampled_tokens bigint[] not null,
    resampled_words bigint[] not null,
    resampled_bytes bigint[] not null,
    resampled_nats double[] not null
);

-- one row per ablation, what was dropped, and seed
create table ablation_runs (
    ablation varchar not null,     -- fingerprint of the ablate dataset
    dropped varchar not null,      -- filter.words, source.news, ...
    training varchar not null,     -- name of the [[train]] entry
    seed bigint not null,
    run varchar not null,          -- without it
    base varchar not null,         -- with it: the whole recipe, the same seed
    primary key (ablation, dropped, seed)
);
