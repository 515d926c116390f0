-- question: Which held-out documents share text with training, and with which document? (lmpipe contamination shows spans)
-- grain: one row per run, held-out set and document, the most covered first
select label as name, leaked_documents.set, document, largest_share, training_documents, most_alike, spans, folder as spans_in
from leaked_documents
left join datasets using (dataset)
left join run_labels using (run)
order by largest_share desc, document, label;
