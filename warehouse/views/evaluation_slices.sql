-- question: which documents count towards which row of the perplexity table?
-- grain: one row per evaluation, slice and document; every document is in its source's slice (domain is null there), in
-- 'all', and, where it has a genre or topic of its own, in that domain's, whose source is written source/domain
create or replace view evaluation_slices as
select * replace (null::varchar as domain), 'source' as slice from evaluation_documents
union all by name
select * replace (source || '/' || domain as source), 'domain' as slice
from evaluation_documents
where domain <> source
union all by name
select * replace ('all' as source, 'all' as lang, 'all' as domain), 'all' as slice from evaluation_documents;
