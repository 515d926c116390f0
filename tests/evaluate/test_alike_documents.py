"""The training documents that share the longest runs of words with a text."""

from pathlib import Path

import pytest
from evaluate.probed import REPEATED

from lmpipe.dataset import Execution
from lmpipe.errors import DatasetError, InputError
from lmpipe.evaluate.alike_documents import alike_documents


def data_of(run: Path) -> Path:
    return run.parent.parent


def test_longest_span_comes_first_with_its_place_in_the_document(probed: Path) -> None:
    text = "It is said THE QUICK, brown fox of this one sentence jumps and the doors had been shut in it"
    table = alike_documents(probed, {"mine": text}, data_of(probed), 20, Execution()).to_pylist()
    first, last = table[0], table[-1]
    (span,) = first["spans"]
    assert (first["place"], first["longest"], span["words"], first["source"]) == (1, 9, 9, "local")
    assert span["text"] == "the quick brown fox of this one sentence jumps"
    assert any(text[span["start"] : span["end"]] == span["text"] for text in REPEATED)
    assert (last["place"], last["longest"], last["spans"][0]["text"]) == (20, 6, "doors had been shut in it")


def test_chinese_is_compared_by_characters_and_workers_change_nothing(probed: Path) -> None:
    texts = {"zh": "他们都说那一年雪下得很大谁也没有来", "none": "words that no document of this corpus holds in a row"}
    one, two = (alike_documents(probed, texts, data_of(probed), 4, Execution(workers=n)) for n in (1, 2))
    assert one.equals(two)
    assert set(one["text"].to_pylist()) == {"zh"}
    assert one.num_rows == 4
    assert one["document"].to_pylist() == sorted(one["document"].to_pylist())  # equally alike: by id


def test_a_text_too_short_to_compare_and_a_run_far_from_its_data_are_refused(probed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mine: expected 3 words"):
        alike_documents(probed, {"mine": "two words"}, data_of(probed), 3, Execution())
    with pytest.raises(DatasetError, match="training documents are not at"):
        alike_documents(probed, {"mine": "these are three words"}, tmp_path, 3, Execution())
