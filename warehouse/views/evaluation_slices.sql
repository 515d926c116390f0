-- question: which documents count towards which row of the perplexity table?
-- grain: one row per evaluation, slice and document; every document is in its source's slice and in 'all'
create or replace view evaluation_slices as
select *, 'source' as slice from evaluation_documents
union all by name
select * replace ('all' as source, 'all' as lang), 'all' as slice from evaluation_documents;
