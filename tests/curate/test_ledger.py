"""The ledger: a document's life from its bytes to the models that saw it."""

from pathlib import Path

import pytest

from lmpipe.curate.decontaminate import HITS
from lmpipe.curate.forget import forget
from lmpipe.curate.ledger import life, quarantined
from lmpipe.errors import InputError
from tests.curate.life import PII, commit, ingested, live, packed


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> Path:
    live(tmp_path)
    return tmp_path


def events(id: str, data: Path, *, every_version: bool = False) -> list[tuple[str, str, str]]:
    return [(e.stage, e.what, e.details) for e in life(id, data, every_version=every_version)]


def test_life_of_a_document_that_was_trained_on(data: Path) -> None:
    assert events("wiki:1", data) == [
        ("ingest", "read", "dump.xml.bz2 at 1,000, 900 bytes; title Page 1; revision 8; licence CC BY-SA"),
        ("clean", "measured", "lang en (0.90), bytes 10, words 50"),
        ("decide", "kept", ""),
        ("dedup", "survivor", "of its duplicate wiki:2 (similarity 1.000)"),
        ("near", "survivor", "of its duplicate wiki:9 (similarity 0.850)"),
        ("split", "kept", "split train, 50 words"),
        ("tokens", "packed", "tokens-train-00000.arrow, tokens 4,096 to 4,166"),
        ("runs", "trained on it", "model lstm"),
    ]


def test_life_of_a_duplicate_names_its_survivor(data: Path) -> None:
    told = events("wiki:2", data)
    assert ("dedup", "duplicate", "of wiki:1 (similarity 1.000, cluster of 2)") in told
    assert told[-1] == ("split", "duplicate", "of wiki:1")


def test_life_of_a_dropped_document_names_rule_value_and_threshold(data: Path) -> None:
    assert ("decide", "dropped", "by words.min: 3, threshold 20") in events("wiki:3", data)


def test_life_of_a_tested_document_ends_with_its_score_and_names_no_run_as_trained(data: Path) -> None:
    told = events("wiki:4", data)
    assert told[1] == ("changes", "deleted in snapshot", "revision 8 -> None")
    assert told[-1] == ("evaluate", "scored", "123.4 nats over 80 tokens, set demo-test, run ab12cd34")


def test_personal_data_and_contamination_are_told_with_their_places(data: Path) -> None:
    commit(data, "clean", "wiki", {"pii": (PII, [{"id": "wiki:1", "kind": "email", "start": 5, "end": 21}])})
    hit = {"id": "wiki:1", "set": "test", "record": "wiki:4", "start": 0, "end": 90, "share": 0.5}
    again = hit | {"start": 100, "end": 130}
    commit(data, "decontaminate", "demo", {"hits": (HITS, [hit | {"contaminated": True}, again])})
    told = events("wiki:1", data)
    assert ("clean", "personal data", "email at 5-21") in told
    shared = "shares characters 0-130 in 2 pieces with test: wiki:4 (50% of it)"
    assert ("decontaminate", "contaminated", shared) in told
    assert ("decontaminate", "overlapped", "50% of it stands in training document wiki:1") in events("wiki:4", data)


def test_take_down_stands_at_the_end_of_a_life(data: Path) -> None:
    forget(["wiki:3"], data, "asked to")
    stage, what, details = events("wiki:3", data)[-1]
    assert (stage, what) == ("forget", "taken down")
    assert details.endswith(": asked to")


def test_only_the_newest_version_is_told_unless_all_are_wanted(data: Path) -> None:
    commit(data, "ingest", "wiki", ingested(1), version=2)
    commit(data, "tokens", "demo", packed("wiki:9", "wiki:1"), version=2)
    newest, every = events("wiki:1", data), events("wiki:1", data, every_version=True)
    assert [e[0] for e in newest].count("ingest") == 1
    assert [e[0] for e in every].count("ingest") == 2
    assert ("runs", "trained on it", "model lstm") not in newest
    assert ("runs", "trained on it", "model lstm") in every


def test_record_in_quarantine_is_found_by_its_place(data: Path) -> None:
    (event,) = quarantined("dump.xml.bz2", 77, data)
    assert (event.stage, event.what) == ("ingest", "quarantined")
    assert event.details == "expected a page, found none; 6 bytes kept"
    with pytest.raises(InputError, match=r"no quarantined record of dump.xml.bz2 at 78"):
        quarantined("dump.xml.bz2", 78, data)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("wiki:11", "did you mean 'wiki:1'"),
        ("wikki:3", "did you mean 'wiki:3'"),
        ("something else", "Sources: ..news., .wiki.."),
    ],
)
def test_unknown_id_is_refused_with_the_nearest(data: Path, id: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        life(id, data)


def test_folder_without_datasets_is_named(data: Path) -> None:
    with pytest.raises(InputError, match="holds no ingested dataset"):
        life("wiki:1", data / "nothing")
