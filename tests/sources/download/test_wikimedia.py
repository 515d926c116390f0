"""Dumps from a local server with the layout of dumps.wikimedia.org."""

import bz2
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lmpipe.dataset import Execution
from lmpipe.errors import DownloadError
from lmpipe.settings import HttpSettings, WikimediaDump, WikipediaSource
from lmpipe.sources.download import http
from lmpipe.sources.download.fetch import fetch
from lmpipe.sources.ingest import ingest
from tests.sources.download.server import File, Server, serve

DUMP = "zhwiki-{}-pages-articles-multistream.xml.bz2"
PAGE = (
    "<mediawiki><page><title>桥</title><ns>0</ns><id>1</id><revision><id>2</id><text>一座桥。</text></revision></page>"
)
BODY = bz2.compress((PAGE + "</mediawiki>").encode())


def listing(*dates: str) -> bytes:
    return "".join(f'<a href="{date}/">{date}/</a>\n' for date in (*dates, "latest")).encode()


def status(date: str, state: str = "done", **changes: Any) -> bytes:
    name = DUMP.format(date)
    entry = {"size": len(BODY), "sha1": hashlib.sha1(BODY).hexdigest(), "url": f"/zhwiki/{date}/{name}"} | changes
    files = {changes.pop("name", name): entry} if state == "done" else {}
    return json.dumps(
        {"version": "0.8", "jobs": {"articlesmultistreamdump": {"status": state, "files": files}}}
    ).encode()


def site(*, newest: str = "done") -> dict[str, File | bytes]:
    return {
        "/zhwiki/": listing("20250101", "20250201"),
        "/zhwiki/20250101/dumpstatus.json": status("20250101"),
        "/zhwiki/20250201/dumpstatus.json": status("20250201", newest),
        f"/zhwiki/20250101/{DUMP.format('20250101')}": File(BODY),
        f"/zhwiki/20250201/{DUMP.format('20250201')}": File(BODY),
    }


def source(server: Server, **changes: Any) -> WikipediaSource:
    http = HttpSettings(contact="mail@example.org", requests_per_second=1000, private=True, timeout=5, retries=2)
    dump = WikimediaDump(**({"wiki": "zhwiki", "site": server.url, "http": http} | changes))
    return WikipediaSource(kind="wikipedia", name="wiki", lang="zh", download=dump)


def download(server: Server, data: Path, **changes: Any) -> list[Path]:
    return fetch(source(server, **changes), data, data, Execution())


def test_the_newest_finished_dump_is_taken_when_no_date_is_given(tmp_path: Path) -> None:
    with serve(site(newest="in-progress")) as server:
        (path,) = download(server, tmp_path)
    assert path.name == DUMP.format("20250101")
    assert path.read_bytes() == BODY


def test_the_fetched_dump_is_ingested(tmp_path: Path) -> None:
    with serve(site()) as server:
        files = download(server, tmp_path, date="20250101")
        manifest = ingest(source(server), tmp_path, tmp_path, Execution(), files)
    assert manifest.counts["kept"] == 1


def test_a_dump_that_is_here_is_not_asked_for_again(tmp_path: Path) -> None:
    with serve(site()) as server:
        first = download(server, tmp_path, date="20250201")
        asked = len(server.requests)
        assert download(server, tmp_path, date="20250201") == first
        assert len(server.requests) == asked
        assert download(server, tmp_path) == first
        assert server.asked(f"/zhwiki/20250201/{DUMP.format('20250201')}")[1:] == []


def test_an_unfinished_dump_is_refused_with_the_newest_finished_one(tmp_path: Path) -> None:
    with (
        serve(site(newest="in-progress")) as server,
        pytest.raises(DownloadError, match=r"status 'in-progress'.*20250101"),
    ):
        download(server, tmp_path, date="20250201")


def test_a_date_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with serve(site()) as server, pytest.raises(DownloadError, match=r"20200101.*There are 20250201, 20250101"):
        download(server, tmp_path, date="20200101")


def test_an_unknown_wiki_is_refused(tmp_path: Path) -> None:
    with serve(site()) as server, pytest.raises(DownloadError, match=r"Check the wiki's name"):
        download(server, tmp_path, wiki="zzwiki")


def test_a_site_without_a_finished_dump_is_refused(tmp_path: Path) -> None:
    files = {"/zhwiki/": listing("20250201"), "/zhwiki/20250201/dumpstatus.json": status("20250201", "waiting")}
    with serve(files) as server, pytest.raises(DownloadError, match="found none"):
        download(server, tmp_path)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"jobs": 1}', b'{"jobs": {"articlesmultistreamdump": 3}}'])
def test_a_status_that_is_no_status_is_told(tmp_path: Path, body: bytes) -> None:
    with (
        serve(site() | {"/zhwiki/20250101/dumpstatus.json": body}) as server,
        pytest.raises(DownloadError, match="expected JSON with jobs"),
    ):
        download(server, tmp_path, date="20250101")


@pytest.mark.parametrize("name", ["../../evil.xml", "/etc/passwd", "a/b.xml", ".hidden", ""])
def test_a_listed_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    body = json.loads(status("20250101"))
    job = body["jobs"]["articlesmultistreamdump"]
    job["files"] = {name: next(iter(job["files"].values()))}
    with (
        serve(site() | {"/zhwiki/20250101/dumpstatus.json": json.dumps(body).encode()}) as server,
        pytest.raises(DownloadError, match="expected a file name"),
    ):
        download(server, tmp_path, date="20250101")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_mirror_is_tried_first_and_the_site_when_it_has_another_file(tmp_path: Path) -> None:
    path = f"/zhwiki/20250101/{DUMP.format('20250101')}"
    with serve({path: File(b"x" * len(BODY))}) as wrong, serve({}) as empty, serve(site()) as server:
        (file,) = download(server, tmp_path, date="20250101", mirrors=(wrong.url, empty.url))
        assert (len(wrong.asked(path)), len(empty.asked(path)), len(server.asked(path))) == (1, 1, 1)
    assert file.read_bytes() == BODY


def test_a_good_mirror_spares_the_site(tmp_path: Path) -> None:
    path = f"/zhwiki/20250101/{DUMP.format('20250101')}"
    with serve({path: BODY}) as mirror, serve(site()) as server:
        download(server, tmp_path, date="20250101", mirrors=(mirror.url,))
        assert server.asked(path) == []


def test_a_file_cut_and_busy_on_the_way_arrives_whole(tmp_path: Path) -> None:
    files = site()
    files[f"/zhwiki/20250101/{DUMP.format('20250101')}"] = File(
        BODY, cuts=[50, 20], failures=[(503, {"Retry-After": "0"}), (500, {})]
    )
    with serve(files) as server:
        (path,) = download(server, tmp_path, date="20250101")
    assert path.read_bytes() == BODY


def test_a_file_of_the_wrong_length_is_never_committed(tmp_path: Path) -> None:
    with (
        serve(site() | {"/zhwiki/20250101/dumpstatus.json": status("20250101", size=len(BODY) + 7)}) as server,
        pytest.raises(DownloadError, match="bytes"),
    ):
        download(server, tmp_path, date="20250101")
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_dump_that_does_not_fit_as_a_whole_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.loads(status("20250101"))
    files = body["jobs"]["articlesmultistreamdump"]["files"]
    files["zhwiki-20250101-second.xml.bz2"] = next(iter(files.values()))
    usage = shutil.disk_usage(tmp_path)._replace(free=http.SPARE_DISK + len(BODY) * 3 // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with serve(site() | {"/zhwiki/20250101/dumpstatus.json": json.dumps(body).encode()}) as server:
        with pytest.raises(DownloadError, match="Make room"):
            download(server, tmp_path, date="20250101")
        assert [request.path for request in server.requests] == ["/zhwiki/20250101/dumpstatus.json"]
