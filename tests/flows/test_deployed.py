"""A deployed pipeline from its start to its end: CPU worker, a turn in the pool gpu, evaluations of checkpoints."""

from collections.abc import Iterator

import pytest

from lmpipe import warehouse
from tests.flows.test_pipeline import LETTERS, RECIPE
from tests.operation import Operation, running, wait

pytestmark = pytest.mark.slow

PATIENCE = 900.0
"""Seconds for seven flow runs, one after the other, on a busy machine."""


@pytest.fixture(scope="module")
def operation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "letters.jsonl").write_text(LETTERS)
    with running(folder, RECIPE) as made:
        yield made


def states(operation: Operation, deployment: str) -> list[str]:
    """List the states of a deployment's runs."""
    only = {"id": {"any_": [operation.deployment(deployment)]}}
    return [run["state"]["type"] for run in operation.api("POST", "/flow_runs/filter", deployments=only)]


def test_a_pipeline_trains_in_the_pool_gpu_and_its_checkpoints_are_evaluated(operation: Operation) -> None:
    run = operation.start("pipeline/by-hand")
    wait(lambda: operation.state(run) in ("COMPLETED", "FAILED", "CRASHED"), PATIENCE)
    assert operation.state(run) == "COMPLETED"

    pool = {"name": {"any_": ["gpu"]}}
    trained = operation.api("POST", "/flow_runs/filter", work_pools=pool)
    assert {each["name"] for each in trained} == {"train tiny lstm", "train tiny transformer", "train tiny counted"}
    assert {each["state"]["type"] for each in trained} == {"COMPLETED"}

    wait(lambda: states(operation, "evaluate/on-checkpoint") == ["COMPLETED"] * 3, PATIENCE)
    sql = "select distinct name from evaluations join trainings using (run) order by name"
    scored = warehouse.query(operation.data / "warehouse", sql).to_pylist()
    assert [row["name"] for row in scored] == ["tiny-counted", "tiny-lstm", "tiny-transformer"]
