"""lmpipe turns raw public text into language-model perplexities that can be traced to their bytes.

The folders follow the way of the data: sources (bytes to documents), text (pure text functions),
curate (documents to chosen documents), tokens (documents to token shards), train, evaluate,
warehouse (everything recorded in DuckDB) and report (the page people look at).
"""

__version__ = "0.1.0"
