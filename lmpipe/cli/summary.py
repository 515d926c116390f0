"""What `lmpipe run` prints at its end: funnel, tokens, perplexities, and where to look further."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lmpipe import warehouse
from lmpipe.cli.tables import print_table
from lmpipe.dataset import inputs_of, open_dataset
from lmpipe.train.run import load_run

if TYPE_CHECKING:
    from flows.pipeline import Outcome


def print_summary(data: Path, outcome: "Outcome", url: str | None, *, ours: bool) -> None:
    """Print the results of a finished pipeline; `url` is that of a server that stays up, `ours` if we started it."""
    folder = data / "warehouse"
    tokens = open_dataset(outcome.tokens)
    (encoded,) = inputs_of(tokens, "encode")
    (chosen,) = inputs_of(encoded, "decontaminate") or inputs_of(encoded, "split")
    print_table("Documents", warehouse.run_query(folder, "funnel_of", {"dataset": chosen.fingerprint}))
    print_table("Why", warehouse.run_query(folder, "reasons_of", {"dataset": chosen.fingerprint}))
    print_table("Tokens", warehouse.run_query(folder, "tokens_of", {"dataset": tokens.fingerprint}))
    runs = [load_run(run).fingerprint for run in outcome.runs]
    print_table("Perplexity of held-out documents", warehouse.run_query(folder, "perplexity_of", {"runs": runs}))
    print_pointers(data, outcome.report, url, ours=ours)


def print_pointers(data: Path, report: Path, url: str | None, *, ours: bool) -> None:
    """Say where the results lie and how to ask and look further."""
    print(f"\nDatabase  {data / 'warehouse' / warehouse.PUBLISHED}")
    started = sys.argv[0] if not sys.argv[0].endswith(".py") else sys.executable  # by python -m lmpipe.cli
    here = Path(os.path.relpath(started)).parent  # of the commands, such as .venv/bin
    print(f'Ask it    {here}/lmpipe sql "SELECT source, name, bits_per_byte FROM perplexity" --data {data}')
    print(f"Report    {report}")
    if url:
        ending = "; stop it with: pkill -f 'prefect server start'" if ours else ""
        print(f"Prefect   {url.removesuffix('/api')} shows this run{ending}")
    else:
        home = data.resolve() / ".prefect"
        print(
            f"Prefect   to see this run: PREFECT_HOME={home} {here}/prefect server start, then http://127.0.0.1:4200/runs"
        )
