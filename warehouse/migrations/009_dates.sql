-- when held-out documents were written

-- one row per held-out document that has a date; the newest that was recorded
create table document_dates (
    document varchar primary key,
    dataset varchar not null,      -- of the stage dates
    source varchar not null,
    created timestamp not null
);
