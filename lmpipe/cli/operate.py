"""`lmpipe up`, `down` and `deploy`: what runs all the time, and what it runs on a schedule."""

from typing import Annotated, Literal

import typer

from lmpipe.cli.options import DATA, Data, Recipe, Workers
from lmpipe.cli.run import KeepOption, ServerOption, VerboseOption, set_up

HostOption = Annotated[str, typer.Option(help="Address that the server listens on.")]
PortOption = Annotated[int, typer.Option(help="Its port; 0 for any free one.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        envvar="PREFECT_SERVER_DATABASE_CONNECTION_URL",
        show_envvar=True,
        help="postgresql+asyncpg://user:password@host/name; SQLite beside the data otherwise.",
    ),
]
StayOption = Annotated[bool, typer.Option("--stay", help="Stay and start again what dies, until SIGTERM; for systemd.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (up, down, deploy, refresh):
        app.command()(command)


def up(
    data: Data = DATA,
    host: HostOption = "127.0.0.1",
    port: PortOption = 4200,
    database: DatabaseOption = None,
    stay: StayOption = False,
) -> None:
    """Start the Prefect server, a CPU worker and a GPU worker, or those of them that are down.

    Needs a free port. Telemetry is off; the password lies in DATA/.prefect/auth. Flow runs whose process is gone are
    closed.

    Example: lmpipe up --data data
    """
    from flows import operate

    settings = operate.ServerSettings(host=host, port=port, database=database)
    url = operate.up(data, settings, print)
    auth = operate.home_of(data) / "auth"
    print(f"\nUI        {url.removesuffix('/api')}, its password: cat {auth}")
    print(f"By hand   export PREFECT_API_URL={url} PREFECT_API_AUTH_STRING=$(cat {auth})")
    if stay:
        operate.stay(data, settings, print)


def down(data: Data = DATA) -> None:
    """Stop workers, running flows (trainings save a checkpoint) and the server, whatever is left of them.

    Needs nothing: where nothing runs there is nothing to do.

    Example: lmpipe down --data data
    """
    from flows import operate

    operate.down(data, print)


WebhookOption = Annotated[
    str | None,
    typer.Option(
        envvar="LMPIPE_WEBHOOK", show_envvar=True, help="Failures and worse perplexities are posted here as JSON."
    ),
]
MailToOption = Annotated[str | None, typer.Option(help="The same, by mail to this address.")]
SmtpOption = Annotated[
    str | None,
    typer.Option(envvar="LMPIPE_SMTP", show_envvar=True, help="The mail server: smtp://user:password@host:587."),
]


def deploy(
    recipe: Recipe,
    data: Data = DATA,
    webhook: WebhookOption = None,
    mail_to: MailToOption = None,
    smtp: SmtpOption = None,
) -> None:
    """Give the server of `lmpipe up` the schedules of prefect.yaml for a recipe, and the automations around them.

    Needs a server: lmpipe up. Again after any change of prefect.yaml: what is there is replaced. Addresses are kept
    as secrets of the server.

    Example: lmpipe deploy flows/recipes/demo.toml --data data --webhook https://hooks.example.org/1
    """
    from flows import operate
    from lmpipe.recipe import load_recipe

    load_recipe(recipe)  # a mistake in the recipe is told before Prefect's seconds of start-up
    operate.join(data)
    from flows.deploy import deploy as give

    for name in give(recipe, data, webhook, mail_to, smtp):
        print(name)
    print("Deployed; look at them with: prefect deployment ls")


BeginOption = Annotated[
    Literal["last", "afresh"], typer.Option(help="Go on from each model's last weights, or begin with fresh ones.")
]
AppendOption = Annotated[
    bool, typer.Option(help="Put new tokens behind the old ones, or learn the tokenizer and pack all anew.")
]


def refresh(
    recipe: Recipe,
    data: Data = DATA,
    workers: Workers = 2,
    begin: BeginOption = "last",
    append: AppendOption = True,
    server: ServerOption = False,
    keep: KeepOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Bring a corpus and its models up to date: only what is new or changed is fetched, read and encoded.

    Needs what `lmpipe run` needs; the first time it does the same.

    Example: lmpipe refresh recipe.toml --data data
    """
    url = set_up(recipe, data, server, keep, verbose)
    from flows.refresh import refresh as flow
    from lmpipe.cli.summary import print_summary

    outcome = flow(recipe.resolve(), data.resolve(), workers, begin, "here", append)
    print_summary(data, outcome, url if keep or not server else None, ours=server)
