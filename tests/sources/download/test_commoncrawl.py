"""CC-NEWS from a local server with the layout of data.commoncrawl.org."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from lmpipe.dataset import Execution
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import CommonCrawlNews, HttpSettings, NewsSource
from lmpipe.sources.download.fetch import fetch
from lmpipe.sources.ingest import ingest
from tests.conftest import ROOT
from tests.sources.download.server import File, Server, serve

WARC = (ROOT / "tests" / "data" / "news.warc.gz").read_bytes()
PATHS = [f"crawl-data/CC-NEWS/2026/01/CC-NEWS-2026010{n}.warc.gz" for n in (1, 2, 3)]
LIST = "/crawl-data/CC-NEWS/2026/01/warc.paths.gz"


def site() -> dict[str, File | bytes]:
    return {LIST: gzip.compress("\n".join(PATHS).encode()), **{f"/{path}": File(WARC) for path in PATHS}}


def source(server: Server, **changes: Any) -> NewsSource:
    http = HttpSettings(contact="mail@example.org", requests_per_second=1000, private=True, timeout=5, retries=2)
    given: dict[str, Any] = {"kind": "cc-news", "months": ("2026-01",), "site": server.url, "http": http}
    return NewsSource(kind="news", name="cc", download=CommonCrawlNews(**(given | changes)), max_quarantine=0.5)


def test_the_archives_of_a_month_are_fetched_and_ingested(tmp_path: Path) -> None:
    with serve(site()) as server:
        files = fetch(source(server, first=2), tmp_path, tmp_path, Execution())
        manifest = ingest(source(server, first=2), tmp_path, tmp_path, Execution(), files)
        assert {request.path for request in server.requests} == {LIST, *(f"/{path}" for path in PATHS[:2])}
    assert [path.read_bytes() for path in files] == [WARC, WARC]
    assert manifest.counts["kept"] > 0


def test_what_is_here_is_not_fetched_again_and_cut_archives_go_on(tmp_path: Path) -> None:
    files = site() | {f"/{PATHS[0]}": File(WARC, cuts=[1000])}
    with serve(files) as server:
        first = fetch(source(server, first=1), tmp_path, tmp_path, Execution())
        assert [r.headers.get("range") for r in server.asked(f"/{PATHS[0]}")] == [None, "bytes=1000-"]
        assert fetch(source(server, first=1), tmp_path, tmp_path, Execution()) == first
        assert len(server.asked(f"/{PATHS[0]}")) == 2


def test_a_list_of_paths_can_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "paths.txt").write_text(f"{PATHS[2]}\n\n{PATHS[2]}\n")
    with serve(site()) as server:
        (path,) = fetch(source(server, months=(), path_list="paths.txt"), tmp_path, tmp_path, Execution())
    assert path.name.endswith("CC-NEWS-20260103.warc.gz")


@pytest.mark.parametrize("line", ["../../etc/passwd.warc.gz", "http://evil.example/a.warc.gz", "/a.warc.gz", "a.exe"])
def test_a_path_cannot_leave_the_site(tmp_path: Path, line: str) -> None:
    (tmp_path / "paths.txt").write_text(line)
    with serve(site()) as server, pytest.raises(InputError, match="expected paths"):
        fetch(source(server, path_list="paths.txt"), tmp_path, tmp_path, Execution())


def test_a_month_that_is_not_there_or_no_month_is_told(tmp_path: Path) -> None:
    with serve(site()) as server:
        with pytest.raises(DownloadError, match=r"2026/02.*Check the month"):
            fetch(source(server, months=("2026-02",)), tmp_path, tmp_path, Execution())
        with pytest.raises(InputError, match="YYYY-MM"):
            fetch(source(server, months=("January",)), tmp_path, tmp_path, Execution())
