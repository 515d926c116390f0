"""Fixtures that several test files share: real corpora, and small ingested datasets."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.document import DOCUMENTS, Document, Origin, document_batches
from lmpipe.storage import digest
from lmpipe.store import Store, open_store
from tests.swift import BUCKET, Swift, running_swift

ROOT = Path(__file__).parent.parent

settings.register_profile("same-everywhere", deadline=None, derandomize=True)  # a busy machine fails nothing
settings.load_profile("same-everywhere")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("LMPIPE_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip(f"no corpora at {folder}; set LMPIPE_CORPORA")
    return folder


def write_documents(unit: tuple[str, list[Document]], output: UnitOutput) -> None:
    """A unit of work that writes ready documents."""
    source, documents = unit
    output.write("documents", DOCUMENTS, document_batches(documents, source, "test", None))
    output.count("in", len(documents))
    output.count("kept", len(documents))


Ingested = Callable[..., Manifest]


@pytest.fixture
def ingested(tmp_path: Path) -> Ingested:
    """A function that commits texts (or fields of Document) as an ingested source."""

    def make(
        rows: Sequence[str | dict[str, Any]], *, source: str = "local", lang: str = "en", units: int = 1
    ) -> Manifest:
        documents = [
            Document(
                **{"native_id": str(n), "title": "", "origin": Origin("f", n, 1), "lang": lang}
                | (row if isinstance(row, dict) else {"text": row})
            )
            for n, row in enumerate(rows)
        ]
        size = -(-len(documents) // units)
        parts = [(source, documents[i * size : (i + 1) * size]) for i in range(units)]
        facts = {"kind": "local", "rows": digest([repr(row) for row in rows])}
        plan = Plan(stage="ingest", name=source, version=1, settings=facts, inputs=())
        return build(plan, tmp_path, write_documents, parts, Execution())

    return make


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A running S3 server and, in the environment, the way to it."""
    pytest.importorskip("swift", reason="OpenStack Swift is not installed: pip install swift")
    with running_swift(tmp_path_factory.mktemp("swift")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        open_store.cache_clear()
        yield server


@pytest.fixture
def store(swift: Swift, request: pytest.FixtureRequest) -> Store:
    """An empty place on it for one test."""
    return open_store(f"s3://{BUCKET}/{request.node.name.translate({91: 45, 93: None})}")
