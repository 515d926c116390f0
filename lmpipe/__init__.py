"""lmpipe turns raw public text into language-model perplexities that can be traced to their bytes.

The folders follow the way of the data: sources (bytes to documents), text (pure text functions),
curate (documents to chosen documents), tokens (documents to token shards), train, evaluate,
warehouse (everything recorded in DuckDB) and report (the page people look at).

OpenMP reads the line below when torch is imported: how long its threads spin for each other before the kernel wakes
them. 1,000 turns is what it takes by itself where cores are short; its default spins 300 times as long, and two
trainings side by side on two cores then take 1.66 s for a step that takes one alone 0.55, instead of 0.88.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
