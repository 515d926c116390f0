"""Deploy: give the server the deployments of prefect.yaml for one recipe, and the automations around them.

lmpipe deploy flows/recipes/demo.toml --data data
"""

import os
import subprocess
import sys
from pathlib import Path

from prefect.blocks.system import Secret
from pydantic import SecretStr

from flows.automations import make_automations
from flows.notices import SMTP
from lmpipe.errors import LmpipeError
from lmpipe.recipe import load_recipe

ROOT = Path(__file__).parent.parent
"""Where prefect.yaml and the flows are."""


def deploy(recipe: Path, data: Path, webhook: str | None, mail_to: str | None, smtp: str | None) -> list[str]:
    """Deploy everything; return the names of the automations.

    Raises LmpipeError when Prefect refuses, with what it says.
    """
    load_recipe(recipe)
    if mail_to is not None and smtp is None:
        raise LmpipeError("--mail-to needs a mail server. Set LMPIPE_SMTP=smtp://user:password@host:587.")
    if smtp is not None:
        Secret(value=SecretStr(smtp)).save(SMTP, overwrite=True)
    variables = {"LMPIPE_ROOT": ROOT, "LMPIPE_RECIPE": recipe.resolve(), "LMPIPE_DATA": data.resolve()}
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LmpipeError(f"prefect deploy failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return make_automations(webhook, mail_to)
