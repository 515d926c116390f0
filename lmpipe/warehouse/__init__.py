"""The database of results: one door to write it, a published copy for everybody to read.

DATA/warehouse/lm.duckdb is private and opened by `write` alone; DATA/warehouse/results.duckdb is a
whole, read-only copy that every transaction replaces by rename, so readers never wait and never
see half a transaction. The SQL (tables, views, saved queries, checks) lies in the top-level folder
warehouse/; this package is the only one that opens the files.
"""

from lmpipe.warehouse.applications import Generation, ScoredTexts, record_generations, record_scores
from lmpipe.warehouse.door import PRIVATE, PUBLISHED, write
from lmpipe.warehouse.read import SavedQuery, checks, query, query_file, run_query, saved_queries, saved_sql
from lmpipe.warehouse.record import (
    Benchmark,
    FlowRun,
    UsedDataset,
    record_benchmarks,
    record_dataset,
    record_flow_run,
    record_training,
)

__all__ = [
    "PRIVATE",
    "PUBLISHED",
    "Benchmark",
    "FlowRun",
    "Generation",
    "SavedQuery",
    "ScoredTexts",
    "UsedDataset",
    "checks",
    "query",
    "query_file",
    "record_benchmarks",
    "record_dataset",
    "record_flow_run",
    "record_generations",
    "record_scores",
    "record_training",
    "run_query",
    "saved_queries",
    "saved_sql",
    "write",
]
