"""Ingest as a stage: bad input ends in quarantine or in one clear error, and nothing is taken for whole that is not."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import InputError, LmpipeError, QuarantineError
from lmpipe.settings import LocalSource, NewsSource, NovelsSource, Source, WikipediaSource
from lmpipe.sources import wikipedia_stream
from lmpipe.sources.ingest import ingest

PROSE = "The ferry left at six, as it had always done, and nobody on the quay could remember a day when it had not."


def page(number: int, text: str = PROSE) -> str:
    return (
        f"<page><title>Page {number}</title><ns>0</ns><id>{number}</id><revision><id>{number}9</id>"
        f"<timestamp>2020-01-01T00:00:00Z</timestamp><text>{text}</text></revision></page>"
    )


DUMP = ("<mediawiki>" + "".join(page(n) for n in range(200)) + "</mediawiki>").encode()


def wikipedia(**settings: Any) -> Source:
    return WikipediaSource(**{"kind": "wikipedia", "name": "wiki", "paths": ("dump.*",), "lang": "en"} | settings)


def read(tmp_path: Path, source: Source, workers: int = 1) -> Manifest:
    return ingest(source, tmp_path, tmp_path / "data", Execution(workers=workers))


def quarantine(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for path in manifest.paths("quarantine") for row in pq.read_table(path).to_pylist()]


def adds_up(counts: dict[str, int]) -> bool:
    skipped = sum(number for key, number in counts.items() if key.startswith("skipped."))
    return counts["in"] == counts.get("kept", 0) + counts.get("quarantined", 0) + skipped


def test_whole_dump_is_read(tmp_path: Path) -> None:
    (tmp_path / "dump.xml.bz2").write_bytes(bz2.compress(DUMP))
    manifest = read(tmp_path, wikipedia())
    assert manifest.counts == {"articles": 200, "in": 200, "kept": 200}
    assert not manifest.paths("quarantine")


def test_truncated_bz2_keeps_what_can_be_read_and_quarantines_the_rest(tmp_path: Path) -> None:
    streams = b"".join(bz2.compress("".join(page(n) for n in range(i, i + 50)).encode()) for i in range(0, 200, 50))
    (tmp_path / "dump.xml.bz2").write_bytes(streams[:-40])
    manifest = read(tmp_path, wikipedia())
    assert 150 <= manifest.counts["kept"] < 200
    assert adds_up(manifest.counts)
    assert "ends" in quarantine(manifest)[-1]["error"]


def test_broken_page_is_quarantined_with_bytes_place_and_error(tmp_path: Path) -> None:
    broken = "<page><title>Bad</title><oops></page>"
    (tmp_path / "dump.xml").write_bytes(DUMP.replace(b"</mediawiki>", broken.encode() + b"</mediawiki>"))
    manifest = read(tmp_path, wikipedia())
    (row,) = quarantine(manifest)
    assert row["raw"] == broken.encode()
    assert row["origin"]["file"] == "dump.xml"
    assert DUMP.replace(b"</mediawiki>", broken.encode())[row["origin"]["offset"] :] == broken.encode()
    assert row["error"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("dump.xml.bz2", b"BZh9 this is no bz2 at all"),
        ("dump.xml", b"no markup in here"),
        ("dump.xml", bytes(range(256)) * 20),
        ("dump.xml.gz", gzip.compress(DUMP)[:200]),
    ],
)
def test_file_that_is_no_dump_stops_the_stage_with_the_figures(tmp_path: Path, name: str, body: bytes) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(QuarantineError, match=r"1 of 1 records are bad, more than max_quarantine = 0.05"):
        read(tmp_path, wikipedia())
    assert not list((tmp_path / "data").rglob("manifest.json"))


@pytest.mark.parametrize(
    "source",
    [
        wikipedia(),
        NewsSource(kind="news", name="news", paths=("dump.*",)),
        LocalSource(kind="local", name="notes", paths=("dump.*",), format="lines"),
        LocalSource(kind="local", name="notes", paths=("dump.*",), format="jsonl"),
        NovelsSource(kind="novels", name="books", paths=("dump.*",), lang="en"),
    ],
)
def test_empty_file_is_one_clear_error(tmp_path: Path, source: Source) -> None:
    (tmp_path / "dump.xml").write_bytes(b"")
    with pytest.raises(LmpipeError, match=f"source {source.name}"):
        read(tmp_path, source)
    assert not list((tmp_path / "data").rglob("manifest.json"))


def test_damaged_gzip_of_a_warc_stops_the_stage(tmp_path: Path) -> None:
    body = bytearray(gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 0\r\n\r\n\r\n\r\n" * 10))
    body[20:30] = b"\x00" * 10
    (tmp_path / "news.warc.gz").write_bytes(bytes(body))
    with pytest.raises(QuarantineError, match="source news"):
        read(tmp_path, NewsSource(kind="news", name="news", paths=("news.warc.gz",)))


def test_text_that_is_not_utf8_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text(PROSE)
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00\xff" + bytes(range(128, 160)) * 9)
    source = LocalSource(
        kind="local", name="notes", paths=("*.txt",), format="text", encoding="utf-8", max_quarantine=0.5
    )
    manifest = read(tmp_path, source)
    assert manifest.counts == {"in": 2, "kept": 1, "quarantined": 1}
    assert quarantine(manifest)[0]["origin"]["file"] == "bad.txt"


def test_source_with_records_but_no_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump.xml").write_text("<mediawiki>" + page(1).replace("<ns>0", "<ns>10") + "</mediawiki>")
    with pytest.raises(InputError, match=r"1 records, but not one document: .*namespace"):
        read(tmp_path, wikipedia())


def test_downloaded_files_are_read_after_those_of_the_recipe_and_none_twice(tmp_path: Path) -> None:
    (tmp_path / "dump.xml").write_text(page(1))
    (tmp_path / "later.xml").write_text(page(2))
    downloaded = [tmp_path / "later.xml", tmp_path / "dump.xml"]
    manifest = ingest(wikipedia(), tmp_path, tmp_path / "data", Execution(), downloaded)
    assert [file["file"] for file in manifest.inputs] == ["dump.xml", "later.xml"]
    assert [row["id"] for path in manifest.paths("documents") for row in pq.read_table(path).to_pylist()] == [
        "wiki:1",
        "wiki:2",
    ]


@pytest.mark.parametrize("redirects", [True, False])
def test_redirects_are_rows_of_their_own_when_asked_for_and_counted_either_way(tmp_path: Path, redirects: bool) -> None:
    (tmp_path / "dump.xml").write_bytes(DUMP.replace(b"<text>" + PROSE.encode(), b"<text>#REDIRECT [[Page 7]]", 5))
    manifest = read(tmp_path, wikipedia(redirects=redirects))
    assert manifest.counts == {"articles": 195, "in": 200, "kept": 195, "skipped.redirect": 5}
    rows = [row for path in manifest.paths("redirects") for row in pq.read_table(path).to_pylist()]
    assert [row["id"] for row in rows] == ([f"wiki:{n}" for n in range(5)] if redirects else [])
    for row in rows[:1]:
        assert row | {"created": str(row["created"])} == {
            "id": "wiki:0",
            "source": "wiki",
            "title": "Page 0",
            "target": "Page 7",
            "revision": "09",
            "created": "2020-01-01 00:00:00+00:00",
        }


def test_a_killed_ingest_goes_on_at_its_last_run_of_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia_stream, "UNIT_STREAMS", 2)
    streams = [bz2.compress("".join(page(n) for n in range(i, i + 10)).encode()) for i in range(0, 200, 10)]
    (tmp_path / "dump.xml.bz2").write_bytes(b"".join(streams))
    started: list[int] = []

    def until_killed(done: int, total: int) -> None:
        started.append(done)
        if done == 4 and len(started) < 10:
            raise KeyboardInterrupt

    run = Execution(progress=until_killed)
    with pytest.raises(KeyboardInterrupt):
        ingest(wikipedia(), tmp_path, tmp_path / "data", run)
    started.extend([0] * 10)
    manifest = ingest(wikipedia(), tmp_path, tmp_path / "data", run)
    assert started[15:] == [4, 5, 6, 7, 8, 9, 10]
    assert manifest == ingest(wikipedia(), tmp_path, tmp_path / "other", Execution())


def test_same_file_elsewhere_gives_the_same_dataset(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "dump.xml").write_bytes(DUMP)
    one = ingest(wikipedia(), tmp_path / "a", tmp_path / "one", Execution())
    two = ingest(wikipedia(), tmp_path / "b", tmp_path / "two", Execution(workers=2))
    assert one == two


def test_looser_quarantine_limit_goes_on_with_the_finished_units(tmp_path: Path) -> None:
    (tmp_path / "dump.xml").write_bytes(DUMP + b"<page>" * 30)
    with pytest.raises(QuarantineError):
        read(tmp_path, wikipedia(max_quarantine=0.0))
    (shard,) = (tmp_path / "data").rglob("documents-*.parquet")
    before = shard.stat().st_mtime_ns
    assert read(tmp_path, wikipedia(max_quarantine=1.0)).counts["kept"] == 200
    assert shard.stat().st_mtime_ns == before
