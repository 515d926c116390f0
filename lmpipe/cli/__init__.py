"""The command line: `lmpipe run RECIPE` for the whole way, one command a stage, and commands to look at results.

    lmpipe run flows/recipes/demo.toml

Commands import what they need when they run, so that `lmpipe --help` answers at once. A user's
mistake (LmpipeError) is printed as one sentence; anything else is a bug and keeps its traceback.
"""

import sys

import typer

from lmpipe.cli import (
    ablate,
    apply,
    curate,
    dumps,
    feeds,
    look,
    move,
    operate,
    probe,
    rescore,
    run,
    stages,
    translate,
    warehouse,
)
from lmpipe.errors import LmpipeError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes and colours would take half of the time of --help
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From raw public text to perplexities that can be traced to their bytes.",
)
run.add_to(app)
ablate.add_to(app)
stages.add_to(app)
move.add_to(app)
dumps.add_to(app)
feeds.add_to(app)
curate.add_to(app)
apply.add_to(app)
look.add_to(app)
probe.add_to(app)
operate.add_to(app)
warehouse.add_to(app)
rescore.add_to(app)
translate.add_to(app)


def main() -> None:
    """Run the command line; exit code 1 for a user's mistake, 130 for Ctrl-C."""
    try:
        app()
    except LmpipeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
