-- the tables: facts and sums only (ratios are views), keys are fingerprints, all times are UTC.
-- no foreign keys: they forbid later changes to the referenced table; checks/ stands in for them.

-- one row per committed dataset
create table datasets (
    dataset varchar primary key,   -- fingerprint of its manifest
    stage varchar not null,
    name varchar not null,
    settings json not null,
    folder varchar not null,       -- where it lay when it was recorded
    version varchar not null,      -- of lmpipe
    host varchar not null,
    started timestamp not null,
    finished timestamp not null
);

-- one row per input of a dataset: another dataset, a raw file, or a run's checkpoint
create table dataset_inputs (
    dataset varchar not null,
    kind varchar not null check (kind in ('dataset', 'file', 'run')),
    input varchar not null,        -- fingerprint of a dataset or run, sha256 of a file
    name varchar not null,         -- stage/name of a dataset, name of a file, sha256 of a checkpoint
    bytes bigint,                  -- of a file
    primary key (dataset, kind, input, name)
);

-- one row per file of a dataset
create table shards (
    dataset varchar not null,
    path varchar not null,
    role varchar not null,
    "rows" bigint not null,
    tokens bigint not null,
    bytes bigint not null,
    sha256 varchar not null,
    primary key (dataset, path)
);

-- one row per count of a dataset's manifest
create table counts (
    dataset varchar not null,
    key varchar not null,
    number bigint not null,
    primary key (dataset, key)
);

-- one row per split dataset, unit of work, source, language, outcome, reason and split
create table funnel (
    dataset varchar not null,
    source varchar not null,
    lang varchar,
    outcome varchar not null check (outcome in ('kept', 'dropped', 'duplicate')),
    reason varchar,
    split varchar,
    documents bigint not null,
    bytes bigint not null,
    words bigint not null
);

-- one row per tokens dataset, unit of work, split, source and language
create table token_stats (
    dataset varchar not null,
    split varchar not null,
    source varchar not null,
    lang varchar,
    documents bigint not null,
    tokens bigint not null,
    bytes bigint not null,
    words bigint not null
);

-- one row per evaluate dataset, checkpoint, set and protocol; the sums were taken when it was recorded
create table evaluations (
    evaluation varchar not null,   -- fingerprint of the evaluate dataset
    run varchar not null,
    checkpoint varchar not null,
    set varchar not null,
    protocol varchar not null,
    documents bigint not null,
    tokens bigint not null,
    words bigint not null,
    bytes bigint not null,
    nats double not null,
    primary key (evaluation, run, checkpoint, set, protocol)
);

-- one row per evaluation and document
create table evaluation_documents (
    evaluation varchar not null,
    run varchar not null,
    checkpoint varchar not null,
    set varchar not null,
    protocol varchar not null,
    document varchar not null,
    source varchar not null,
    lang varchar,
    nats double not null,
    tokens bigint not null,
    words bigint not null,
    bytes bigint not null,
    oov bigint not null
);

-- one row per run; what only a finished run knows is null until then
create table trainings (
    run varchar primary key,       -- fingerprint of the run
    name varchar not null,
    recipe varchar not null,
    model varchar not null,        -- kind of architecture
    vocabulary bigint not null,
    dataset varchar not null,      -- fingerprint of the tokens dataset
    settings json not null,
    folder varchar not null,
    steps bigint,
    tokens bigint,
    parameters bigint,
    wall_seconds double,
    device varchar,
    threads integer
);

-- one row per run, logged step and split; wide, without index (name/value rows are what slows other trackers)
create table training_metrics (
    run varchar not null,
    step bigint not null,
    split varchar not null check (split in ('train', 'valid')),
    loss double,
    lr double,
    grad_norm double,
    tokens bigint,
    tokens_per_s double,
    extra json not null            -- whatever else the line held
);

-- one row per file of a checkpoint; checkpoint.json itself is one of them
create table checkpoints (
    run varchar not null,
    step bigint not null,
    file varchar not null,
    sha256 varchar not null,
    primary key (run, step, file)
);

-- one row per flow run
create table flow_runs (
    flow_run varchar primary key,  -- Prefect's id
    kind varchar not null,
    flow varchar not null,
    recipe varchar not null,
    settings json not null,        -- the whole recipe
    status varchar not null,
    started timestamp not null,
    ended timestamp,
    host json not null,
    version varchar not null,
    error varchar
);

-- one row per flow run and dataset that it made or found already made
create table flow_run_datasets (
    flow_run varchar not null,
    dataset varchar not null,
    seconds double not null,
    reused boolean not null,
    primary key (flow_run, dataset)
);

-- one row per benchmark measured
create table benchmarks (
    name varchar not null,
    measured timestamp not null,
    value double not null,
    unit varchar not null,
    machine json not null,
    primary key (name, measured)
);
