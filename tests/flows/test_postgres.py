"""An operation whose server keeps its runs in PostgreSQL, a real one on loopback."""

import shutil
from collections.abc import Iterator

import pytest

from tests.flows.test_pipeline import RECIPE
from tests.operation import Operation, running, wait
from tests.postgres import PASSWORD, postgres

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("postgres"), reason="no postgres here")]

SOME_SECONDS = RECIPE.replace("steps = 6\n", "steps = 1000000\nmax_seconds = 30\n")
"""A training that is still at work when the server is killed, and ends soon after."""


@pytest.fixture(scope="module")
def operation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    folder = tmp_path_factory.mktemp("postgres")
    with (
        postgres() as database,
        running(folder, SOME_SECONDS, PREFECT_SERVER_DATABASE_CONNECTION_URL=database) as made,
    ):
        yield made


def test_a_training_completes_though_its_server_was_killed(operation: Operation) -> None:
    run = operation.train()
    operation.kill("server")
    operation.lmpipe("up", "--port", "0")
    assert operation.state(run) in ("RUNNING", "COMPLETED")
    wait(lambda: operation.state(run) == "COMPLETED")
    assert not (operation.home / "prefect.db").exists()


def test_the_password_of_the_database_is_in_no_file(operation: Operation) -> None:
    files = [path for path in operation.data.rglob("*") if path.is_file()]
    assert [path.name for path in files if PASSWORD.encode() in path.read_bytes()] == []
