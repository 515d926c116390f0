"""Fetch news archives of Common Crawl: the WARC files of whole months, or those that a list names.

CC-NEWS publishes one list of paths a month and no checksums, so a file's size is what the server says;
damage inside shows when its records are read. A list's paths are joined to the site and cannot leave it.
"""

import gzip
import io
import logging
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lmpipe.dataset import Execution, Plan, UnitOutput, build
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import CommonCrawlNews, NewsSource
from lmpipe.sources.download.http import Client

log = logging.getLogger(__name__)

VERSION = 1
MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
MAX_LIST = 64 << 20
"""Bytes of a list of paths, inflated; a month has some 400 lines, all of Common Crawl 100,000 a crawl."""
MAX_ARCHIVE = 8 << 30
"""Bytes of one archive; they have 1 GB."""
PLAIN_PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/=-]{0,500}\.(?:warc|wet|arc)(?:\.wet)?(?:\.gz)?")
"""A path below the site's root to an archive."""


class ArchiveUnit(NamedTuple):
    """One unit's arguments."""

    download: CommonCrawlNews
    path: str


def fetch(source: NewsSource, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Fetch the archives into DATA/download/<name>-<fingerprint8>/ and return them in the list's order.

    Raises DownloadError for a month or a file that is not there, InputError for a list that is none.
    """
    download = source.download
    assert isinstance(download, CommonCrawlNews), "chosen by the kind of its table"
    with Client(download.http) as client:
        paths = archive_paths(client, download, base)[: download.first]
    log.info("%s: %d archives", source.name, len(paths))
    plan = Plan(
        stage="download",
        name=source.name,
        version=VERSION,
        settings={"kind": download.kind},
        inputs=tuple({"path": path} for path in paths),
    )
    return build(plan, data, fetch_unit, [ArchiveUnit(download, path) for path in paths], execution).paths("files")


def archive_paths(client: Client, download: CommonCrawlNews, base: Path) -> list[str]:
    """Read the lists of the months, or the one that is named."""
    if download.path_list is None:
        lists = [month_list(client, download, month) for month in download.months]
    elif download.path_list.startswith(("http://", "https://")):
        lists = [fetched_list(client, download.path_list)]
    else:
        lists = [(base / download.path_list).read_bytes()]
    found = [line.strip() for content in lists for line in inflated(content).decode("utf-8", "replace").splitlines()]
    paths = list(dict.fromkeys(path for path in found if path))
    wrong = [path for path in paths if not PLAIN_PATH.fullmatch(path)]
    if wrong or not paths:
        found_instead = repr(wrong[0][:80]) if wrong else "none"
        raise InputError(
            f"cc-news: expected paths of .warc.gz, .wet.gz or .arc.gz files, one a line, found {found_instead}."
            " Name months, or a path_list."
        )
    return paths


def month_list(client: Client, download: CommonCrawlNews, month: str) -> bytes:
    """Fetch the list of one month."""
    found = MONTH.fullmatch(month)
    if found is None:
        raise InputError(f"cc-news: expected months as YYYY-MM, found {month!r}.")
    return fetched_list(client, f"{download.site.rstrip('/')}/crawl-data/CC-NEWS/{found[1]}/{found[2]}/warc.paths.gz")


def fetched_list(client: Client, url: str) -> bytes:
    """Fetch a list of paths."""
    answer = client.get(url, max_bytes=MAX_LIST)
    if answer.status != 200:
        raise DownloadError(f"{url}: expected a list of paths, found status {answer.status}. Check the month.")
    return answer.body


def inflated(content: bytes) -> bytes:
    """Inflate a list where it is compressed."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            found = file.read(MAX_LIST + 1)
    except (OSError, EOFError) as error:
        raise InputError(f"cc-news: the list of paths is damaged gzip: {error}. Fetch it again.") from None
    if len(found) > MAX_LIST:
        raise InputError(f"cc-news: the list of paths has more than {MAX_LIST} bytes.")
    return found


def fetch_unit(unit: ArchiveUnit, output: UnitOutput) -> None:
    """Fetch one archive; its number in the list keeps equal names of two folders apart."""
    name = f"{output.index:05d}-{PurePosixPath(unit.path).name}"
    with Client(unit.download.http) as client:
        size = client.save(f"{unit.download.site.rstrip('/')}/{unit.path}", output.folder / name, max_bytes=MAX_ARCHIVE)
    output.count("files")
    output.count("bytes", size)
    output.add("files", name, rows=0)
