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
with used as (
    select
        id, any_value(source) as source, any_value(lang) as lang, count(*) as copies,
        sum(length)::bigint as tokens, min(filename) as filename, min_by(start, filename) as start
    from read_parquet($index, filename = true)
    group by id
    order by tokens desc, id
    limit $n::bigint
),
final as (
    select
        used.id as document, used.source, used.lang, used.tokens, copies,
        origin.file as raw_file, origin.offset as raw_offset, origin.length as raw_bytes,
        place_of(used.filename) as shard, start
    from used
    left join read_parquet($documents) as documents on documents.id = used.id
)
select * from final
order by tokens desc, document;
