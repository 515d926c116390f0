-- evaluation sets from outside: the domain (genre, topic, else source) of each scored document, and found last words
alter table evaluation_documents add column domain varchar;
alter table evaluation_documents add column correct bigint;  -- 1 or 0 where a last word was to be found, else null
update evaluation_documents set domain = source;
