"""The next snapshot: what is taken over from the one before, and what has changed since."""

import bz2
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import DatasetError, InputError
from lmpipe.settings import WikipediaSource
from lmpipe.sources import reuse, snapshot, wikipedia_stream, wikitext
from lmpipe.sources.ingest import ingest
from tests.conftest import Ingested

SOURCE = WikipediaSource(kind="wikipedia", name="wiki", paths=("dump*",), lang="en", redirects=True, max_quarantine=1)
LONG = "The ferry left at six, as it had always done. " * 100
HARD = "The {{unheard-of|a}} is {{lang|fr|mot}} () here. [[Category:Boats]] "


class Page:
    """A page of a made-up wiki."""

    def __init__(self, number: int, revision: int = 1, text: str | None = None, title: str | None = None) -> None:
        self.number, self.revision = number, revision
        self.text = f"{HARD if number % 7 == 0 else ''}{LONG if number % 11 == 0 else 'Short.'} {number}/{revision}"
        self.text = self.text if text is None else text
        self.title = f"Page {number}" if title is None else title

    @property
    def xml(self) -> str:
        return (
            f"<page><title>{self.title}</title><ns>0</ns><id>{self.number}</id><revision><id>{self.revision}</id>"
            f"<timestamp>2020-01-01T00:00:00Z</timestamp><text>{self.text}</text></revision></page>"
        )


def write(folder: Path, pages: Sequence[Page], name: str = "dump.xml.bz2", stream: int = 10) -> Path:
    """Write a multistream dump, alone in its folder."""
    folder.mkdir(exist_ok=True)
    parts = ["".join(page.xml for page in pages[i : i + stream]) for i in range(0, len(pages), stream)]
    whole = ["<mediawiki>", *parts, "</mediawiki>"]
    (folder / name).write_bytes(b"".join(bz2.compress(part.encode()) for part in whole))
    return folder


def read(folder: Path, data: Path, source: WikipediaSource = SOURCE, workers: int = 1) -> Manifest:
    return ingest(source, folder, data, Execution(workers=workers))


def rows(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


OLD = [Page(n) for n in range(1, 121)]
NEW = [
    *(Page(n) for n in range(1, 40)),
    Page(40, 2),  # edited
    Page(42, title="Moved"),
    Page(43, text="#REDIRECT [[Page 1]]"),
    Page(44, text="Mended by hand, under the old number."),
    Page(45, text="a <b"),  # no longer XML
    Page(46, 2, text=OLD[45].text),  # edited and reverted
    *(Page(n) for n in range(47, 121)),
    Page(130),
]


@pytest.fixture(autouse=True)
def _small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia_stream, "UNIT_STREAMS", 3)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the pages that are rendered, as it goes on."""
    titles: list[str] = []
    render = wikitext.render

    def listed(wikicode: str, *, title: str, **settings: Any) -> wikitext.Rendered:
        titles.append(title)
        return render(wikicode, title=title, **settings)

    monkeypatch.setattr(wikitext, "render", listed)
    return titles


def test_the_next_snapshot_has_the_same_bytes_with_and_without_reuse(tmp_path: Path, rendered: list[str]) -> None:
    read(write(tmp_path / "old", OLD), tmp_path / "data")
    new = write(tmp_path / "new", NEW)
    rendered.clear()
    with_reuse = read(new, tmp_path / "data")
    assert rendered == ["Page 40", "Moved", "Page 44", "Page 46", "Page 130"]
    without = read(new, tmp_path / "other")
    assert with_reuse == without
    assert len(with_reuse.paths("documents")) > 3
    assert len(list(without.folder.iterdir())) == len(with_reuse.shards) + 3  # manifest, made.json, .lock
    for path in without.folder.iterdir():
        assert path.name == "made.json" or path.read_bytes() == (with_reuse.folder / path.name).read_bytes()
    assert with_reuse.counts["articles_with_lost_templates"] > 5
    assert with_reuse.counts["long_articles"] > 5


def test_the_log_says_how_much_was_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(write(tmp_path / "old", OLD), tmp_path / "data")
    caplog.set_level("INFO")
    manifest = read(write(tmp_path / "new", NEW), tmp_path / "data", workers=2)
    assert f"{manifest.counts['kept'] - 5} of {manifest.counts['kept']} documents taken over" in caplog.text
    assert "reused" not in str(manifest)
    assert not list(manifest.folder.rglob("*.reused"))


def test_only_the_newest_dataset_of_the_same_source_and_settings_is_reused(tmp_path: Path, rendered: list[str]) -> None:
    data = tmp_path / "data"
    old, new = write(tmp_path / "old", OLD), write(tmp_path / "new", NEW)
    read(old, data, replace(SOURCE, redirects=False))
    read(old, data, replace(SOURCE, name="wiki-2"))
    rendered.clear()
    read(old, data)
    assert len(rendered) == len(OLD)
    read(new, data)
    rendered.clear()
    read(write(tmp_path / "newest", [*NEW, Page(140)]), data)
    assert rendered == ["Page 140"]


@pytest.mark.parametrize("order", ["parts named out of order", "pages out of order"])
def test_reuse_finds_pages_whatever_the_order(tmp_path: Path, rendered: list[str], order: str) -> None:
    if order == "parts named out of order":
        write(tmp_path / "old", OLD[60:], "dump10.xml.bz2")
        old = write(tmp_path / "old", OLD[:60], "dump2.xml.bz2")
        most = 1
    else:
        old = write(tmp_path / "old", random.Random(3).sample(OLD, len(OLD)))
        most = len(NEW)  # fewer are found, and the result is the same
    read(old, tmp_path / "data")
    new = write(tmp_path / "new", [*OLD, Page(130)])
    rendered.clear()
    manifest = read(new, tmp_path / "data")
    assert 0 < len(rendered) <= most
    assert manifest == read(new, tmp_path / "other")


def test_reuse_holds_one_row_group_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmpipe.document.BATCH_ROWS", 4)
    monkeypatch.setattr(wikipedia_stream, "UNIT_STREAMS", 100)
    old = read(write(tmp_path / "old", OLD), tmp_path / "data")
    earlier = reuse.Earlier(old.folder)
    (row,) = [row for row in rows(old, "documents") if row["id"] == "wiki:60"]
    known = earlier.find("60", "1", "Page 60", dict(row["meta"])["wikitext"])
    assert known is not None
    assert known.text == row["text"]
    assert earlier.group is not None
    assert sorted(earlier.group.places) == [57, 58, 59, 60]


def test_a_damaged_earlier_dataset_is_a_clear_error(tmp_path: Path) -> None:
    old = read(write(tmp_path / "old", OLD), tmp_path / "data")
    shard = old.paths("documents")[0]
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DatasetError, match="cannot be reused"):
        read(write(tmp_path / "new", NEW), tmp_path / "data")


def test_an_earlier_dataset_that_misses_a_shard_is_not_reused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = read(write(tmp_path / "old", OLD), tmp_path / "data")
    old.paths("documents")[0].unlink()
    assert read(write(tmp_path / "new", NEW), tmp_path / "data").counts["kept"] == len(NEW) - 2
    assert "not reused" in caplog.text


def changed(manifest: Manifest) -> dict[str, str]:
    return {row["id"]: row["change"] for row in rows(manifest, "changes")}


def test_changes_between_two_snapshots_are_told_in_the_order_of_page_ids(tmp_path: Path) -> None:
    before = read(write(tmp_path / "old", OLD), tmp_path / "data")
    after = read(write(tmp_path / "new", NEW), tmp_path / "data")
    manifest = snapshot.changes(before, after, tmp_path / "data", Execution())
    assert rows(manifest, "changes") == [
        {"id": f"wiki:{n}", "change": change, "revision_before": old, "revision_after": new, "title": title}
        for n, change, old, new, title in (
            (40, "changed", "1", "2", "Page 40"),
            (41, "deleted", "1", None, "Page 41"),
            (42, "changed", "1", "1", "Moved"),
            (43, "deleted", "1", None, "Page 43"),
            (45, "deleted", "1", None, "Page 45"),
            (46, "changed", "1", "2", "Page 46"),
            (130, "added", None, "1", "Page 130"),
        )
    ]
    assert manifest.counts == {"in": 121, "added": 1, "changed": 3, "deleted": 3, "unchanged": 114}
    assert list(snapshot.tombstones(manifest)) == ["wiki:41", "wiki:43", "wiki:45"]
    assert manifest.inputs == (before.reference, after.reference)


def test_changes_are_in_order_in_many_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(write(tmp_path / "old", OLD[::2]), tmp_path / "data")
    after = read(write(tmp_path / "new", random.Random(3).sample(OLD[1::2], 60)), tmp_path / "data")
    monkeypatch.setattr(snapshot, "PART_ROWS", 17)
    manifest = snapshot.changes(before, after, tmp_path / "data", Execution(workers=2))
    assert len(manifest.paths("changes")) == 8
    assert list(changed(manifest)) == [f"wiki:{n}" for n in range(1, 121)]
    assert manifest.counts == {"in": 120, "added": 60, "deleted": 60}


def test_a_snapshot_compared_with_itself_has_no_changes(tmp_path: Path) -> None:
    old = read(write(tmp_path / "old", OLD), tmp_path / "data")
    manifest = snapshot.changes(old, old, tmp_path / "data", Execution())
    assert manifest.counts == {"in": 120, "unchanged": 120}
    assert list(snapshot.tombstones(manifest)) == []


@pytest.mark.parametrize("part_rows", [2, 1000])
def test_documents_without_revision_are_compared_by_their_text(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_rows: int
) -> None:
    monkeypatch.setattr(snapshot, "PART_ROWS", part_rows)
    old = {"http://a:80": "same", "http://b": "before", "http://c": "gone"}
    new = {"http://a:80": "same", "http://b": "after", "http://d": "new", "http://e": "twice"}
    before = ingested([{"native_id": key, "text": text} for key, text in old.items()], source="news")
    after = ingested(
        [{"native_id": key, "text": text} for key, text in [*new.items(), ("http://e", "twice")]], source="news"
    )
    manifest = snapshot.changes(before, after, tmp_path, Execution())
    assert changed(manifest) == {
        "news:http://b": "changed",
        "news:http://c": "deleted",
        "news:http://d": "added",
        "news:http://e": "added",
    }
    assert manifest.counts == {"in": 5, "added": 2, "changed": 1, "deleted": 1, "unchanged": 1}


def test_two_different_sources_are_not_compared(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one source, found a and b"):
        snapshot.changes(ingested(["x"], source="a"), ingested(["x"], source="b"), tmp_path, Execution())
