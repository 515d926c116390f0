-- ladders: trainings of several sizes and budgets, and the law L = E + A / N^alpha + B / D^beta fitted to them.

-- one row per ladder dataset and training
create table ladder_points (
    dataset varchar not null,
    run varchar not null,
    name varchar not null,
    parameters bigint not null,
    tokens bigint not null,
    loss double not null,          -- nats per token of the validation split, measured
    foretold double not null,      -- the same by the law
    primary key (dataset, run)
);

-- one row per ladder dataset and parameter of the law (compute is null), or foretold quantity and compute
create table ladder_fits (
    dataset varchar not null,
    quantity varchar not null,
    compute double,                -- FLOPs
    value double,
    low double,                    -- 95 % interval over resampled trainings; null where a resample knows no bound
    high double
);
