"""Fetch raw files from their public servers: the only part of lmpipe that opens the network.

Every module here offers `fetch(source, base, data, execution)`, which brings what the source's `download`
table asks for under DATA and returns the files to ingest; what is there already is not fetched again.
"""

from pathlib import Path

from lmpipe.dataset import Execution
from lmpipe.settings import CommonCrawlNews, Gutenberg, NewsFeeds, Source, WikimediaDump
from lmpipe.sources.download import commoncrawl, feeds, gutenberg, wikimedia

__all__ = ["fetch"]

FETCHERS = {WikimediaDump: wikimedia, CommonCrawlNews: commoncrawl, NewsFeeds: feeds, Gutenberg: gutenberg}
"""Kind of download table to the module that knows its servers."""


def fetch(source: Source, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Bring the files of a source's download table (relative paths in it are to `base`); none without a table.

    Raises DownloadError when a server refuses, is wrong about a file, or cannot be reached.
    """
    download = getattr(source, "download", None)
    return FETCHERS[type(download)].fetch(source, base, data, execution) if download else []
