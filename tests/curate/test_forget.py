"""Take-down: the list of forgotten documents, and where earlier datasets and runs still hold them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmpipe.curate.forget import LIST, copies, forget, forgotten, forgotten_ids, sightings
from lmpipe.curate.ledger import check_known
from lmpipe.errors import InputError
from tests.curate.life import commit, live, packed

WHEN = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def test_documents_are_listed_once_with_time_and_reason(tmp_path: Path) -> None:
    assert forget(["wiki:1", "wiki:2", "wiki:1"], tmp_path, "asked to", WHEN) == ["wiki:1", "wiki:2"]
    first = (tmp_path / LIST).read_bytes()
    assert json.loads(first.splitlines()[0]) == {
        "id": "wiki:1",
        "when": "2026-05-04T03:02:01+00:00",
        "reason": "asked to",
    }
    assert forget(["wiki:2", "wiki:1"], tmp_path, "asked again") == []
    assert (tmp_path / LIST).read_bytes() == first
    assert forget(["wiki:3"], tmp_path, "a court") == ["wiki:3"]
    assert [entry["reason"] for entry in forgotten(tmp_path)] == ["asked to", "asked to", "a court"]


def test_ids_are_those_of_one_source_sorted(tmp_path: Path) -> None:
    forget(["wiki:2", "news:1", "wiki-en:1", "wiki:10"], tmp_path, "asked to")
    assert forgotten_ids(tmp_path, "wiki") == ["wiki:10", "wiki:2"]
    assert forgotten_ids(tmp_path / "nothing", "wiki") == []


@pytest.mark.parametrize("line", ["{", '"wiki:1"', '{"id": "wiki:1"}'])
def test_damaged_list_is_refused_and_not_overwritten(tmp_path: Path, line: str) -> None:
    (tmp_path / LIST).write_text(line + "\n")
    with pytest.raises(InputError, match=r"forgotten.jsonl: line 1: expected an object with id, when and reason"):
        forget(["wiki:2"], tmp_path, "asked to")
    assert (tmp_path / LIST).read_text() == line + "\n"


def test_everything_that_holds_a_document_is_listed_old_versions_too(tmp_path: Path) -> None:
    live(tmp_path)
    commit(tmp_path, "tokens", "demo", packed("wiki:1", "wiki:3"), version=2)
    found = [
        (s.what, s.folder.relative_to(tmp_path).parts[0], s.documents)
        for s in sightings(["wiki:1", "wiki:2"], tmp_path)
    ]
    assert found == [
        ("text", "ingest", 2), ("text", "clean", 2), ("tokens", "tokens", 1), ("tokens", "tokens", 1),
        ("run, learnt from", "runs", 1),
    ]  # fmt: skip
    assert sightings(["news:1"], tmp_path)[0].folder.name.startswith("news-")
    assert [s.what for s in sightings(["wiki:4"], tmp_path)] == ["text", "text", "tokens", "run, held out"]


def test_duplicates_are_named_from_both_sides(tmp_path: Path) -> None:
    live(tmp_path)
    near = {"document": "wiki:9", "like": "wiki:1", "similarity": 0.85}
    assert copies(["wiki:1"], tmp_path) == [{"document": "wiki:2", "like": "wiki:1", "similarity": 1.0}, near]
    assert copies(["wiki:2"], tmp_path) == [{"document": "wiki:1", "like": "wiki:2", "similarity": 1.0}]
    assert copies(["wiki:1", "wiki:2"], tmp_path) == [near]


def test_wrong_id_is_refused_with_the_nearest(tmp_path: Path) -> None:
    live(tmp_path)
    check_known(["wiki:1", "news:1"], tmp_path)
    with pytest.raises(InputError, match="no document 'wiki:33'; did you mean 'wiki:3'"):
        check_known(["wiki:1", "wiki:33"], tmp_path)
