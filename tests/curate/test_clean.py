"""The clean stage, as a reader of its datasets sees it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmpipe.curate import quality
from lmpipe.curate.clean import clean
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import InputError
from lmpipe.settings import CleanSettings
from tests.conftest import Ingested

TEXT = "The heron stood in the river.\nIt was written to anna@heron.example, and to 93.184.216.34 as well."


def rows(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    """All rows of one role."""
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


def cleaned(documents: Manifest, data: Path, **settings: Any) -> Manifest:
    """Clean with settings that differ from the default."""
    return clean(documents, data, CleanSettings(**settings), Execution(), data)


def test_documents_and_signals_stand_side_by_side(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested([f" {TEXT}\r\n", {"text": "这条河流入大海。", "lang": None}, ""]), tmp_path)
    documents, signals = rows(manifest, "documents"), rows(manifest, "signals")
    assert [row["id"] for row in documents] == [row["id"] for row in signals] == ["local:0", "local:1", "local:2"]
    assert documents[0]["text"] == TEXT
    assert [row["chars"] for row in signals] == [len(TEXT), 8, 0]
    assert [row["lang"] for row in documents] == [row["lang"] for row in signals] == ["en", "zh", "en"]
    assert manifest.counts["in"] == 3
    assert manifest.counts["repaired.blanks"] == 1


def test_language_that_the_source_declares_is_compared_with_what_is_read(ingested: Ingested, tmp_path: Path) -> None:
    german = "Der Fluss entspringt in den Hügeln hinter der Stadt und erreicht nach vierzig Meilen das Meer."
    documents = [{"text": german, "lang": "de"}, {"text": german, "lang": "en"}, {"text": german, "lang": "de-AT"}]
    signals = rows(cleaned(ingested(documents), tmp_path), "signals")
    assert [row["lang"] for row in signals] == ["de", "en", "de-AT"]
    assert [row["lang_score"] > 0.5 for row in signals] == [True, False, True]
    assert [row["second_lang"] for row in signals] == [None, "de", None]
    assert [row["lang_share"] for row in signals] == [1, 0, 1]
    assert [row["script"] for row in signals] == ["Latn"] * 3
    assert signals[0]["stop_words"] == signals[2]["stop_words"] == 5  # der, in, den, und, das


def test_personal_data_is_counted_and_placed_but_stays(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested(["no data", TEXT]), tmp_path)
    assert [row["text"] for row in rows(manifest, "documents")] == ["no data", TEXT]
    assert [row["pii_spans"] for row in rows(manifest, "signals")] == [0, 2]
    found = [(row["id"], row["kind"], TEXT[row["start"] : row["end"]]) for row in rows(manifest, "pii")]
    assert found == [("local:1", "email", "anna@heron.example"), ("local:1", "ip", "93.184.216.34")]
    assert {key: n for key, n in manifest.counts.items() if key.startswith("pii")} == {"pii.email": 1, "pii.ip": 1}


def test_personal_data_is_redacted_before_it_is_measured(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested([TEXT]), tmp_path, pii="redact", pii_kinds=("email",))
    expected = TEXT.replace("anna@heron.example", "<EMAIL>")
    assert rows(manifest, "documents")[0]["text"] == expected
    assert rows(manifest, "signals")[0]["chars"] == len(expected)
    assert [TEXT[row["start"] : row["end"]] for row in rows(manifest, "pii")] == ["anna@heron.example"]


def test_personal_data_is_not_looked_for_when_off(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested([TEXT]), tmp_path, pii="off")
    assert manifest.paths("pii") == []
    assert rows(manifest, "signals")[0]["pii_spans"] is None
    assert manifest.counts == {"in": 1}


def test_content_words_are_a_column_of_their_own(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested(["The heron hatched.", "of the"]), tmp_path, content_words=True)
    assert rows(manifest, "content") == [
        {"id": "local:0", "content": "heron hatched"},
        {"id": "local:1", "content": ""},
    ]
    assert rows(manifest, "documents")[0]["text"] == "The heron hatched."
    assert cleaned(ingested(["The heron hatched."]), tmp_path).paths("content") == []


def test_quality_model_is_an_input_and_its_score_a_signal(ingested: Ingested, tmp_path: Path) -> None:
    documents = ingested([TEXT])
    without = cleaned(documents, tmp_path)
    model = quality.QualityModel(np.zeros(quality.BUCKETS), 0.0, {"version": quality.VERSION})
    quality.write(model, tmp_path / "model.parquet")
    scored = cleaned(documents, tmp_path, quality_model="model.parquet")
    assert rows(without, "signals")[0]["quality"] is None
    assert rows(scored, "signals")[0]["quality"] == 0.5
    assert [entry["file"] for entry in scored.inputs if "file" in entry] == ["model.parquet"]


def test_quality_model_that_is_none_is_refused(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such quality model"):
        cleaned(ingested([TEXT]), tmp_path, quality_model="missing.parquet")


def test_units_and_workers_change_no_row(ingested: Ingested, tmp_path: Path) -> None:
    texts = [f"{TEXT} Number {n}. 这条河流入大海。" * (n % 5) for n in range(40)]
    one = cleaned(ingested(texts), tmp_path)
    many = clean(ingested(texts, source="other", units=7), tmp_path, CleanSettings(), Execution(workers=2))
    assert len(many.paths("signals")) == 7
    unnamed = [[row | {"id": None, "source": None, "work": None} for row in rows(m, "signals")] for m in (one, many)]
    assert unnamed[0] == unnamed[1]


def test_source_kinds_are_unwrapped_as_the_recipe_says(ingested: Ingested, tmp_path: Path) -> None:
    wrapped = "A line of prose that was wrapped by a program at some column,\nand goes on."
    joined = cleaned(ingested([wrapped]), tmp_path, unwrap=("local",))
    assert rows(joined, "documents")[0]["text"] == wrapped.replace("\n", " ")
    assert rows(cleaned(ingested([wrapped]), tmp_path), "documents")[0]["text"] == wrapped
