"""What a person sees in Prefect's UI, in a real browser against a real server: artifacts, and why a run failed."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from flows.server import start_server
from tests.conftest import ROOT
from tests.flows.test_pipeline import RECIPE, WORDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here")]

QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1600"),
    "--virtual-time-budget=20000",
]
SCRIPT = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
"""In every document: text that would like to be a part of the page."""


class Ui(NamedTuple):
    """A server, and a folder for what is run against it."""

    api: str
    folder: Path

    def run(self, name: str, text: str) -> subprocess.CompletedProcess[str]:
        """Run a recipe with this server."""
        (self.folder / f"{name}.toml").write_text(text.replace('name = "tiny"', f'name = "{name}"'))
        command = [sys.executable, "-m", "lmpipe.cli", "run", f"{self.folder / name}.toml", "--workers", "1"]
        command += ["--data", str(self.folder / name)]
        environment = os.environ | {"PREFECT_API_URL": self.api}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def page(self, flow_run: str, tab: str) -> str:
        """Open a tab of a flow run and give what stands there; a picture of it is left in the folder."""
        body = {"flow_runs": {"name": {"any_": [flow_run]}}}
        (found,) = httpx.post(f"{self.api}/flow_runs/filter", json=body, timeout=60).json()
        url = f"{self.api.removesuffix('/api')}/v2/runs/flow-run/{found['id']}?tab={tab}"
        chromium = ["chromium", *QUIET, f"--user-data-dir={self.folder / 'profile'}"]
        picture = self.folder / f"{flow_run}-{tab}.png".replace(" ", "-")
        subprocess.run([*chromium, f"--screenshot={picture}", url], capture_output=True, check=True)
        done = subprocess.run([*chromium, "--dump-dom", url], capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Ui:
    folder = tmp_path_factory.mktemp("ui")
    return Ui(start_server(folder / "server"), folder)


def test_a_run_shows_funnel_perplexity_loss_samples_and_report(ui: Ui) -> None:
    lines = [f"{SCRIPT} {' '.join(random.Random(n).sample(WORDS, 30))} and that was all." for n in range(120)]
    (ui.folder / "notes.txt").write_text("\n".join(lines))
    done = ui.run("seen", RECIPE.replace("steps = 6", "steps = 6\nsample_every = 6").replace("[decontaminate]\n", ""))
    assert done.returncode == 0, done.stderr
    seen = ui.page("pipeline seen", "Artifacts")
    for key in ("funnel", "perplexity", "loss-seen-lstm", "loss-seen-transformer", "samples-seen-lstm", "report"):
        assert key in seen
    assert "<title>owned" not in seen


def test_a_failed_run_shows_the_sentence_that_says_what_to_do(ui: Ui) -> None:
    done = ui.run("lost", RECIPE.replace("notes.txt", "missing.txt"))
    assert done.returncode == 1
    assert "missing.txt: no such file. Expected a file or glob of files." in ui.page("pipeline lost", "Logs")
