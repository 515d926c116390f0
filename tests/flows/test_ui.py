"""What a person sees in Prefect's UI, in a real browser against a real server: artifacts, and why a run failed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL

from flows.pipeline import pipeline
from lmpipe.errors import InputError
from tests.flows.test_pipeline import RECIPE, WORDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here")]

QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1600"),
    "--virtual-time-budget=20000",
]


def page(path: str, folder: Path) -> str:
    """Open a page of the UI and give what stands there; a picture of it is left in `folder`."""
    url = f"{str(PREFECT_API_URL.value()).removesuffix('/api')}/v2{path}"
    profile = f"--user-data-dir={folder / 'profile'}"
    subprocess.run(["chromium", *QUIET, profile, f"--screenshot={folder / 'page.png'}", url], capture_output=True)
    done = subprocess.run(["chromium", *QUIET, profile, "--dump-dom", url], capture_output=True, text=True, check=True)
    return done.stdout


def newest(name: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.name == name]
    return max(runs, key=lambda run: str(run.start_time))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline whose documents try to be a part of the page."""
    folder = tmp_path_factory.mktemp("ui")
    script = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    lines = [f"{script} {' '.join(WORDS[n % 7 :: 1 + n % 5])} {n} and that was all {n * n}." for n in range(120)]
    (folder / "notes.txt").write_text("\n".join(lines))
    recipe = RECIPE.replace('"tiny"', '"seen"').replace("steps = 6", "steps = 6\nsample_every = 6")
    (folder / "seen.toml").write_text(recipe)
    pipeline(folder / "seen.toml", folder / "data", 1)
    return folder


def test_artifacts_of_a_run_show_funnel_perplexity_loss_samples_and_report(folder: Path, tmp_path: Path) -> None:
    seen = page(f"/runs/flow-run/{newest('pipeline seen').id}?tab=Artifacts", tmp_path)
    for key in ("funnel", "perplexity", "loss-seen-lstm", "loss-seen-transformer", "samples-seen-lstm", "report"):
        assert key in seen
    assert "<title>owned" not in seen


def test_a_failed_run_shows_the_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "lost.toml").write_text(RECIPE.replace('name = "tiny"', 'name = "lost"'))
    with pytest.raises(InputError):
        pipeline(tmp_path / "lost.toml", tmp_path / "data", 1)
    seen = page(f"/runs/flow-run/{newest('pipeline lost').id}", tmp_path)
    assert "no such file. Expected a file or glob of files." in seen
