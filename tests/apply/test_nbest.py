"""Lists of hypotheses as SRILM, mlm-scoring, ESPnet, tables and CTM write them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from lmpipe.apply.nbest import BYTELOG, Form, NBest, read_nbest, read_references, with_scores
from lmpipe.errors import InputError


def read(path: Path, text: str, form: Form) -> list[NBest]:
    path.write_text(text, encoding="utf-8")
    return list(read_nbest([path], form))


def test_srilm_lists_are_one_file_an_utterance(tmp_path: Path) -> None:
    for name in ("b.score.gz", "a.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"-10.5 -2 3 so  it goes\n-11 -1.5 2 so be\n"))
    first, second = read_nbest([tmp_path], "srilm")
    assert (first.utterance, second.utterance) == ("a", "b")
    assert first.texts == ["so it goes", "so be"]
    assert {name: column.tolist() for name, column in first.scores.items()} == {
        "acoustic": [-10.5, -11],
        "lm": [-2, -1.5],
        "words": [3, 2],
    }


def test_a_hypothesis_of_no_words_is_one(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "u", "-1 -2 0\n-2 -3 1 yes\n", "srilm")
    assert found.texts == ["", "yes"]


def test_decipher_lists_hold_phones_between_the_words(tmp_path: Path) -> None:
    phones = "( st: 0.00 et: 0.20 g: -10 a: -400 ) h[eh]l ( st: 0.00 et: 0.09 g: 0 a: -150 ) "
    line = f"(-720) hello {phones}l[ow] ( st: 0.10 et: 0.20 g: -10 a: -250 ) you ( st: 0.21 et: 0.3 g: -5 a: -305 )"
    (found,) = read(tmp_path / "u", f"NBestList2.0\n{line}\n", "srilm")
    assert found.texts == ["hello you"]
    assert found.scores["acoustic"][0] == pytest.approx(-705 * BYTELOG)
    assert found.scores["lm"][0] == pytest.approx(-15 * BYTELOG)
    (old,) = read(tmp_path / "v", "NBestList1.0\n(-720) hello you\n", "srilm")
    assert old.scores["acoustic"][0] == pytest.approx(-720 * BYTELOG)


def test_two_copies_of_the_switchboard_lists_agree(corpora: Path) -> None:
    """SRILM keeps these lists twice: in bytelogs with times, and as the log10 scores that it made of them."""
    name = "sw_40008_A_0004903_0005087"
    folder = corpora / "speech" / "switchboard-nbest"
    (timed,) = read_nbest([folder / "nbest-rover-acoustic" / "nbest-lists" / f"{name}.gz"], "srilm")
    (plain,) = read_nbest([folder / "nbest-rover" / "nbest-lists" / f"{name}.score.gz"], "srilm")
    assert timed.texts == plain.texts
    np.testing.assert_allclose(timed.scores["acoustic"], plain.scores["acoustic"], atol=0.006)


def test_further_scores_come_from_a_folder(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, text in (("u.score", "-1 -2 1 a\n-1 -3 1 b\n"), ("v", "-1 -2 1 c\n")):
        (lists / name).write_text(text)
    scores = tmp_path / "pron"
    scores.mkdir()
    (scores / "u").write_text("0.5\n0.25\n")
    with pytest.raises(InputError, match="no scores of v"):
        list(with_scores(read_nbest([lists], "srilm"), "pron", scores))
    (scores / "v").write_text("1\n2\n")
    with pytest.raises(InputError, match="a score for each of 1 hypotheses, found 2"):
        list(with_scores(read_nbest([lists], "srilm"), "pron", scores))
    (scores / "v").write_text("1\n")
    first, _ = with_scores(read_nbest([lists], "srilm"), "pron", scores)
    assert first.scores["pron"].tolist() == [0.5, 0.25]


def test_mlm_scoring_json_is_ordered_by_rank(tmp_path: Path) -> None:
    hyps = {f"hyp_{n}": {"score": -n, "text": f" take {n}"} for n in (10, 2, 1)}
    (found,) = read(tmp_path / "x.json", json.dumps({"u1": {"ref": "take one", **hyps}}), "json")
    assert (found.texts, found.reference) == (["take 1", "take 2", "take 10"], "take one")
    assert found.scores["acoustic"].tolist() == [-1, -2, -10]


def test_espnet_json_names_every_hypothesis_an_output(tmp_path: Path) -> None:
    output = [{"name": f"target1[{n}]", "rec_text": f"TAKE {n}<eos>", "score": -n, "text": "TAKE ONE"} for n in (1, 2)]
    (found,) = read(tmp_path / "x.json", json.dumps({"utts": {"u1": {"output": output}}}), "json")
    assert (found.texts, found.reference) == (["TAKE 1", "TAKE 2"], "TAKE ONE")


def test_tables_name_their_scores(tmp_path: Path) -> None:
    text = "utterance\ttext\tasr\nu1\tone two\t-3\nu1\tone\t-4\nu2\t\t-1\n"
    first, second = read(tmp_path / "x.tsv", text, "tsv")
    assert first.texts == ["one two", "one"]
    assert first.scores["asr"].tolist() == [-3, -4]
    assert second.texts == [""]


def test_ctm_words_are_gathered_into_hypotheses(tmp_path: Path) -> None:
    lines = ["u-a-1 1 0.0 0.2 one 0.9", "u-a-1 1 0.2 0.2 two 0.5", "u-a-2 1 0.0 0.2 one 1.0", "u-b-1 1 0 1 x 1"]
    first, second = read(tmp_path / "x.ctm", "\n".join([";; comment", *lines]), "ctm")
    assert (first.utterance, first.texts) == ("u-a", ["one two", "one"])
    assert first.scores["confidence"].tolist() == pytest.approx([1.4, 1.0])
    assert second.utterance == "u-b"


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("srilm", "-1 -2\n", "expected acoustic score, LM score"),
        ("srilm", "one two three four\n", "u.1: expected a number, found 'one'"),
        ("srilm", "nan -2 1 a\n", "expected a number, found 'nan'"),
        ("srilm", "NBestList2.0\n(-720) hello ( st: 0.00\n", "11 fields"),
        ("srilm", "", "u has no hypothesis"),
        ("json", "[]", "expected an object of utterances, found list"),
        ("json", "{", "not valid JSON"),
        ("json", '{"u1": {"hyp_1": {"text": "a"}}}', "u1: expected hyp_N with score and text"),
        ("json", '{"u1": {"hyp_1": {"text": "a", "score": NaN}}}', "u1: expected hyp_N with score and text"),
        ("tsv", "utt\ttext\n", "expected a header with utterance and text"),
        ("tsv", "utterance\ttext\tlm\nu1\ta\n", "expected 3 columns, found 2"),
        ("ctm", "u1 1 0.0 0.2 one\n", "expected utterance-rank channel"),
    ],
)
def test_bad_lists_are_refused_with_their_place(tmp_path: Path, form: Form, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path / "u", text, form)


def test_references_may_be_empty_but_not_twice(tmp_path: Path) -> None:
    (tmp_path / "refs").write_text("u1 one  two\nu2\n\nu3\tdrei\n")
    assert read_references(tmp_path / "refs") == {"u1": "one two", "u2": "", "u3": "drei"}
    (tmp_path / "refs").write_text("u1 one\nu1 two\n")
    with pytest.raises(InputError, match="u1 is there twice"):
        read_references(tmp_path / "refs")
