"""Train language models from a run directory alone; importable with torch, pyarrow and the ground floor."""
