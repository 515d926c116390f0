-- question: Which documents made this perplexity, and from which raw bytes and shards?
-- grain: one row per document in training, the longest first; raw bytes are a place in a raw file
-- param: id: fingerprint of an evaluation or a run, or its first digits
-- param: n = 20: documents
-- files: index
select place
from behind($id)
inner join dataset_files on dataset = id and kind = 'dataset'
where stage = 'tokens' and role = 'documents-train'
order by place;
-- files: documents
select place
from behind($id)
inner join dataset_files on dataset = id and kind = 'dataset'
where stage = 'ingest' and role = 'documents'
order by place;
-- answer
with longest as (
    select id, count(*) as copies, sum(length)::bigint as tokens
    from read_parquet($index)
    group by id
    order by tokens desc, id
    limit $n::bigint
),
used as (
    select
        longest.id, any_value(source) as source, any_value(lang) as lang, any_value(longest.tokens) as tokens,
        any_value(copies) as copies, min(filename) as filename, min_by(start, (filename, start)) as start
    from longest
    inner join read_parquet($index, filename = true) as rows using (id)
    group by longest.id
),
final as (
    select
        used.id as document, used.source, used.lang, used.tokens, copies,
        origin.file as raw_file, origin.offset as raw_offset, origin.length as raw_bytes,
        place_of(used.filename) as shard, start
    from used
    left join (select id, origin from read_parquet($documents) where id in (select id from longest)) as documents
        on documents.id = used.id
)
select * from final
order by tokens desc, document;
