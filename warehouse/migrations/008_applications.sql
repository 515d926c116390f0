-- speech recognition and translation: what each system chose, and scores by sacreBLEU.

-- one row per rescore dataset, system and utterance; words and characters are the reference's
create table recognitions (
    evaluation varchar not null,   -- fingerprint of the rescore dataset
    system varchar not null,       -- first, given, tuned, oracle
    utterance varchar not null,
    fold bigint,                   -- the one it was held out in; null where nothing is tuned
    words bigint not null,
    word_errors bigint not null,
    characters bigint not null,
    character_errors bigint not null,
    primary key (evaluation, system, utterance)
);

-- one row per rescore dataset, system, fold and score; tuned weights of no fold are those of all utterances
create table rescore_weights (
    evaluation varchar not null,
    system varchar not null,
    fold bigint,
    score varchar not null,
    weight double not null
);

-- one row per translate dataset, system and metric; BLEU is no sum, so the score is recorded with its signature
create table translation_scores (
    evaluation varchar not null,   -- fingerprint of the translate dataset
    system varchar not null,       -- first, tuned
    metric varchar not null,       -- BLEU, chrF2
    signature varchar not null,    -- sacreBLEU's: scores of unlike ones are not compared
    sentences bigint not null,
    score double not null,
    low double not null,           -- 95 % interval over resampled sentences
    high double not null,
    primary key (evaluation, system, metric)
);
