"""The commands of speech recognition and translation, as a person types them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from lmpipe.cli import app
from lmpipe.errors import InputError

LATTICE = """N=3 L=3
I=0 W=!NULL
I=1 W=yes
I=2 W=!NULL
J=0 S=0 E=1 a=-1 l=-1
J=1 S=1 E=2 W=sir a=-1 l=-1
J=2 S=1 E=2 W=madam a=-1 l=-2
"""


def lmpipe(*arguments: object, given: str = "", says: str | None = None) -> Result:
    done = CliRunner().invoke(app, [str(a) for a in arguments], input=given)
    if says is None:
        assert done.exit_code == 0, done.exception
    else:
        assert isinstance(done.exception, InputError)
        assert says in str(done.exception)
    return done


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    for number in range(8):
        text = f"-1 -9 2 wrong [noise] {number}\n-2 -1 2 Right {number}\n"
        (folder / f"u{number}.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "refs").write_text("".join(f"u{n} right {n}\n" for n in range(9)))
    (tmp_path / "noise").write_text("[noise]\n")
    return folder


def test_lists_without_references_give_the_best_by_the_weights(lists: Path, tmp_path: Path) -> None:
    assert lmpipe("rescore", lists).stdout.splitlines()[0] == "u0 wrong [noise] 0"
    lmpipe("rescore", lists, "--weights", "acoustic=1,lm=1", "--out", tmp_path / "best.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "best.jsonl").read_text().splitlines()]
    assert rows[3] == {
        "utterance": "u3",
        "text": "Right 3",
        "rank": 2,
        "total": -3,
        "acoustic": -2,
        "lm": -1,
        "words": 2,
    }
    lmpipe("rescore", lists, "--weights", "lm=1", "--out", tmp_path / "best.parquet")
    assert pq.read_table(tmp_path / "best.parquet")["rank"].to_pylist() == [2] * 8


def test_lists_with_references_give_the_table_of_systems(lists: Path, tmp_path: Path) -> None:
    clean = ("--noise", tmp_path / "noise", "--lower", "--refs", tmp_path / "refs")
    out = tmp_path / "tuned.tsv"
    grid = ("--tune", "lm", "--grid", "lm=0:1:0.5", "--out", out)
    done = lmpipe("rescore", lists, *clean, *grid, "--weights", "words=0", "--data", tmp_path / "data")
    assert [word for word in done.stdout.split() if word in ("first", "given", "tuned", "oracle")][:4] == [
        "first", "given", "tuned", "oracle",
    ]  # fmt: skip
    assert "1 references have no list and are not counted: u8" in done.stderr
    assert "50" in done.stdout, "WER of the first hypotheses"
    assert [line.split("\t")[5] for line in out.read_text().splitlines()] == ["word_errors", *"00000000"]
    assert (tmp_path / "data" / "warehouse").is_dir()


def test_a_lattice_becomes_a_table_that_is_rescored_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "u1.lat").write_text(LATTICE)
    lmpipe("lattice", tmp_path / "u1.lat", "--out", tmp_path / "x.tsv")
    table = (tmp_path / "x.tsv").read_text()
    assert table.splitlines()[1].split("\t")[:2] == ["u1", "yes sir"]
    done = lmpipe("rescore", "-", "--format", "tsv", "--weights", "lm=-1", given=table)
    assert done.stdout == "u1 yes madam\n"
    assert lmpipe("rescore", tmp_path / "u1.lat", "--format", "slf").stdout == "u1 yes sir\n"


def test_ctc_outputs_are_decoded(tmp_path: Path) -> None:
    log_p = np.log(np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    np.savez(tmp_path / "x.npz", u1=log_p)
    (tmp_path / "labels").write_text("_\na\nb\n")
    assert lmpipe("ctc", tmp_path / "x.npz", "--labels", tmp_path / "labels").stdout == "u1 aa\n"


def test_options_that_cannot_be_read_are_told(lists: Path, tmp_path: Path) -> None:
    lmpipe("rescore", lists, "--weights", "lm", says="--weights lm: expected name=number")
    lmpipe("rescore", lists, "--format", "nbest", says="expected srilm, json, tsv, ctm or slf")
    lmpipe("rescore", lists, "--scores", "pron", says="expected name=FOLDER")
    tuned = ("--refs", tmp_path / "refs", "--tune", "lm", "--data", tmp_path / "data")
    lmpipe("rescore", lists, *tuned, "--grid", "lm=1:0:1", says="expected name=FIRST:LAST:STEP")
    lmpipe("translate", tmp_path, says="expected a file of sentences, or --chosen")
    lmpipe("rescore", lists, "--noise", tmp_path / "absent", says="absent: cannot be read")
    lmpipe("ctc", tmp_path / "refs", "--labels", tmp_path / "refs", says="expected an .npz of arrays")
