"""Stop words are the published lists; leaving them out makes a text of its own."""

import json
from pathlib import Path

import pytest

from lmpipe.text.stopwords import content_words, long_list, short_list


def test_long_lists_are_those_of_the_corpora(corpora: Path) -> None:
    published = json.loads((corpora / "reference" / "stopwords-iso.json").read_text(encoding="utf-8"))
    assert len(published) == 58
    assert {language: long_list(language) for language in published} == {
        language: frozenset(listed) for language, listed in published.items()
    }


@pytest.mark.parametrize(
    ("language", "config"), [("zh", "cmn_Hani"), ("ja", "jpn_Jpan"), ("de", "deu_Latn"), ("fr", "fra_Latn")]
)
def test_short_lists_are_those_of_fineweb2(corpora: Path, language: str, config: str) -> None:
    text = (corpora / "reference" / "fineweb-2" / "configs" / f"{config}.yml").read_text()
    listed = text.partition("stopwords:\n")[2].partition("\ntop_n_grams")[0].splitlines()
    unquoted = [json.loads(w.replace("\\x", "\\u00")) if (w := line[2:]).startswith('"') else w for line in listed]
    assert set(short_list(language)) == set(unquoted)


def test_language_without_list_has_no_stop_words() -> None:
    assert not long_list("ltg")
    assert not short_list("ltg")


def test_content_words_are_written_as_they_are() -> None:
    texts = ["The Heron and the river didn’t HATCH.", "这条河流入大海。", "Upe i jiura"]
    assert content_words(texts, ["en", "zh", "ltg"]) == ["Heron river HATCH", "条 河流 入 大海", "Upe i jiura"]


def test_text_of_stop_words_has_no_content() -> None:
    assert content_words(["to be or not to be", ""], ["en", "en"]) == ["", ""]
