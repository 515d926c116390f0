"""Parallel corpora: pairs become documents, and what is no pair is counted by its reason."""

import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lmpipe.document import Document, Record
from lmpipe.errors import InputError
from lmpipe.settings import ParallelSource
from lmpipe.sources import parallel
from tests.sources.reading import errors, tally, texts

ENGLISH = ["A dog runs.", "Two men sit on a bench.", "", "Good morning."]
GERMAN = ["Ein Hund läuft.", "Zwei Männer sitzen auf einer Bank.", "", "Guten Morgen."]


def source(form: str = "lines", **changes: Any) -> ParallelSource:
    values: dict[str, Any] = {"kind": "parallel", "name": "pairs", "paths": (), "format": form, "langs": ("en", "de")}
    return ParallelSource(**(values | changes))


def read(settings: ParallelSource, *files: Path) -> list[Record]:
    return [record for unit in parallel.units(settings, list(files)) for record in parallel.read(settings, unit)]


def two_files(tmp_path: Path, first: list[str] = ENGLISH, second: list[str] = GERMAN) -> tuple[Path, Path]:
    paths = tmp_path / "train.de.gz", tmp_path / "train.en"
    paths[0].write_bytes(gzip.compress(("\n".join(second) + "\n").encode()))
    paths[1].write_text("\n".join(first) + "\n", encoding="utf-8")
    return paths


def test_two_files_are_paired_line_by_line(tmp_path: Path) -> None:
    found = read(source(), *two_files(tmp_path))
    assert tally(found) == {"Document": 3, "empty": 1}
    assert texts(found)[1] == "Two men sit on a bench.\nZwei Männer sitzen auf einer Bank."
    document = found[0]
    assert isinstance(document, Document)
    assert document.native_id == "train.en#1"
    assert document.text[: int(document.meta["prompt_characters"])] == "A dog runs.\n"


def test_files_of_unequal_length_are_refused(tmp_path: Path) -> None:
    files = two_files(tmp_path, second=GERMAN[:2])
    with pytest.raises(InputError, match=r"train\.en#3: the other side ended before this line"):
        read(source(), *files)


def test_a_file_without_its_other_side_is_refused(tmp_path: Path) -> None:
    german, english = two_files(tmp_path)
    with pytest.raises(InputError, match=r"train\.en has no other side"):
        read(source(), english)
    with pytest.raises(InputError, match=r"none of \['train\.de\.gz', 'train\.en'\] ends in \.fr or \.cs"):
        read(source(langs=("fr", "cs")), german, english)


def test_a_moses_zip_holds_both_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "de-en.txt.zip", "w") as archive:
        archive.writestr("README", "about")
        archive.writestr("Tatoeba.de-en.de", "\n".join(GERMAN) + "\n")
        archive.writestr("Tatoeba.de-en.en", "\n".join(ENGLISH) + "\n")
    found = read(source(), tmp_path / "de-en.txt.zip")
    assert texts(found)[0] == "A dog runs.\nEin Hund läuft."


def test_a_table_in_a_zip_may_have_further_columns(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cmn-eng.zip", "w") as archive:
        archive.writestr("_about.txt", "about\tthis")
        archive.writestr("cmn.txt", "Hi.\t嗨。\tCC-BY 2.0\nHi.\t你好。\nRun\n")
    found = read(source("tsv", langs=("en", "zh"), prompt="[zh] {source} = {target}"), tmp_path / "cmn-eng.zip")
    assert texts(found) == ["[zh] Hi. = 嗨。", "[zh] Hi. = 你好。"]
    assert tally(found) == {"Document": 2, "no_second_side": 1}
    works = {d.meta["work"] for d in found if isinstance(d, Document)}
    assert len(works) == 1, "translations of one sentence fall into one split"


def test_quoted_commas_part_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('zh,en\n"好,走吧。","Well, ""go""."\n坏,"open\n', encoding="utf-8")
    found = read(source("csv", langs=("zh", "en"), header=True), path)
    assert texts(found) == ['好,走吧。\nWell, "go".']
    assert "not a row of csv" in errors(found)[0]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("A dog.", "", "no_second_side"),
        ("A dog. " * 200, "Ein Hund. " * 200, "too_long"),
        ("A dog.", "Ein Hund und eine Katze und noch ein Hund und viele andere Tiere dazu.", "length_ratio"),
        ("IBM 360", "ibm 360", "copy"),
        ("Where is the railway station?", "Where, please, is the railway station in this town?", "target_language"),
        ("Wo ist denn bitte der Bahnhof dieser Stadt?", "Wo ist hier der Bahnhof?", "source_language"),
    ],
)
def test_what_is_no_pair_is_counted_by_its_reason(tmp_path: Path, first: str, second: str, reason: str) -> None:
    files = two_files(tmp_path, [*ENGLISH, first], [*GERMAN, second])
    assert tally(read(source(), *files))[reason] == 1


def test_filters_can_be_switched_off(tmp_path: Path) -> None:
    files = two_files(tmp_path, ["IBM", "Where is the railway station?"], ["IBM", "Where is the railway station now?"])
    kept = read(source(copies=True, check_language=False), *files)
    assert tally(kept) == {"Document": 2}


def test_bytes_of_another_codec_are_set_aside(tmp_path: Path) -> None:
    german, english = two_files(tmp_path)
    german.write_bytes(gzip.compress("\n".join(GERMAN).encode().replace("ä".encode(), b"\x81\xff")))
    found = read(source(encoding="utf-8"), german, english)
    assert tally(found) == {"Document": 1, "BadRecord": 2, "empty": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"langs": ("en",)}, "expected two different ones"),
        ({"columns": (1, 1)}, "expected two different ones"),
        ({"prompt": "{source}{target}"}, "something that parts the sides"),
        ({"prompt": "{target}\n{source}"}, "at the end"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(source(**changes), *two_files(tmp_path))


def test_real_corpora_are_read_whole(corpora: Path) -> None:
    tatoeba = read(source("tsv", langs=("en", "zh"), check_language=False), corpora / "translation/tatoeba-cmn-eng.zip")
    assert (len(tatoeba), tally(tatoeba)["Document"]) == (20_294, 20_294)
    folder = corpora / "translation" / "multi30k"
    files = sorted(folder.glob("test_2016_flickr.*"))
    assert tally(read(source(check_language=False), *files)) == {"Document": 1000}


def test_filters_keep_real_pairs_and_drop_a_real_file_in_another_language(corpora: Path, tmp_path: Path) -> None:
    folder = corpora / "translation" / "multi30k"
    for lang in ("de", "fr", "cs"):
        sides = folder / "val.en.gz", folder / f"val.{lang}.gz"
        assert tally(read(source(langs=("en", lang)), *sides)) == {"Document": 1014}
    shutil.copy(folder / "val.en.gz", tmp_path)
    shutil.copy(folder / "val.fr.gz", tmp_path / "val.de.gz")
    found = tally(read(source(), *tmp_path.iterdir()))
    assert set(found) == {"Document", "target_language"}
    assert found["target_language"] > 900
