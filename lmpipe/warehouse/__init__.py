"""The database of results: one door to write it, a published copy for everybody to read.

DATA/warehouse/lm.duckdb is private and opened by `write` alone; DATA/warehouse/results.duckdb is a
whole, read-only copy that every transaction replaces by rename, so readers never wait and never
see half a transaction. The SQL (tables, views, saved queries, checks) lies in the top-level folder
warehouse/; this package is the only one that opens the files.
"""

from lmpipe.warehouse.applications import Generation, ScoredTexts, record_generations, record_scores
from lmpipe.warehouse.door import PRIVATE, PUBLISHED, write
from lmpipe.warehouse.flow_runs import (
    FlowRun,
    FlowTask,
    UsedDataset,
    UsedTraining,
    code_sha256,
    record_flow_run,
    record_tasks,
    record_used,
)
from lmpipe.warehouse.keep import Rebuilt, backup, backups, rebuild, restore
from lmpipe.warehouse.read import checks, query, query_file, run_query
from lmpipe.warehouse.record import (
    Benchmark,
    record_benchmarks,
    record_dataset,
    record_datasets,
    record_training,
)
from lmpipe.warehouse.saved import SavedQuery, saved_queries, saved_query, saved_sql
from lmpipe.warehouse.sound import verify

__all__ = [
    "PRIVATE",
    "PUBLISHED",
    "Benchmark",
    "FlowRun",
    "FlowTask",
    "Generation",
    "Rebuilt",
    "SavedQuery",
    "ScoredTexts",
    "UsedDataset",
    "UsedTraining",
    "backup",
    "backups",
    "checks",
    "code_sha256",
    "query",
    "query_file",
    "rebuild",
    "record_benchmarks",
    "record_dataset",
    "record_datasets",
    "record_flow_run",
    "record_generations",
    "record_scores",
    "record_tasks",
    "record_training",
    "record_used",
    "restore",
    "run_query",
    "saved_queries",
    "saved_query",
    "saved_sql",
    "verify",
    "write",
]
