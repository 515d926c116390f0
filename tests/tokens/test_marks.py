"""Marks: a recipe's texts become the ids that documents have, or are refused."""

from pathlib import Path

import pytest
from train.token_dataset import small_settings, tokens_dataset

from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.settings import TokenizerSettings
from lmpipe.tokens.encode import load_encoder
from lmpipe.tokens.learn import learn_tokenizer
from lmpipe.tokens.marks import marks_of

CHATS = ["User: Is it raining?\nAssistant: No.\nUser: Will it?\nAssistant: It may.", "A dog.\nEin Hund."] * 20


def tokens_by(kind: str, data: Path) -> Manifest:
    settings = TokenizerSettings(kind=kind, vocabulary=300)  # type: ignore[arg-type]
    return tokens_dataset(data, tokenizer=learn_tokenizer(iter([CHATS]), settings))


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_marks_are_the_ids_that_documents_have(tmp_path: Path, kind: str) -> None:
    tokens = tokens_by(kind, tmp_path)
    found = marks_of(tokens, small_settings(learn_after="\nAssistant:", learn_until="\nUser:"))
    assert found is not None
    ids = load_encoder(tokens.paths("tokenizer")[0])(CHATS[:1])[0].tolist()
    for mark, times in ((found.after, 2), (found.until, 1)):
        assert sum(tuple(ids[start : start + len(mark)]) == mark for start in range(len(ids))) == times


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_the_line_break_of_a_pair_is_one_token(tmp_path: Path, kind: str) -> None:
    found = marks_of(tokens_by(kind, tmp_path), small_settings(learn_after="\n"))
    assert found is not None
    assert (len(found.after), found.until) == (1, ())


@pytest.mark.parametrize(("kind", "mark"), [("word", "\n"), ("char", "§")])
def test_a_mark_that_the_tokenizer_cannot_write_is_refused(tmp_path: Path, kind: str, mark: str) -> None:
    with pytest.raises(InputError, match="Choose another mark"):
        marks_of(tokens_by(kind, tmp_path), small_settings(learn_after=mark))


def test_no_mark_is_no_marks(tmp_path: Path) -> None:
    assert marks_of(tokens_by("bpe", tmp_path), small_settings()) is None
