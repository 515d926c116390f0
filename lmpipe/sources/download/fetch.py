"""One door to all downloads: find the module that knows the servers of a source's download table."""

from pathlib import Path

from lmpipe.dataset import Execution
from lmpipe.settings import CommonCrawlNews, Gutenberg, NewsFeeds, Source, WikimediaDump
from lmpipe.sources.download import commoncrawl, feeds, gutenberg, wikimedia

FETCHERS = {WikimediaDump: wikimedia, CommonCrawlNews: commoncrawl, NewsFeeds: feeds, Gutenberg: gutenberg}
"""Kind of download table to the module that knows its servers."""


def fetch(source: Source, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Bring the files of a source's download table (relative paths in it are to `base`); none without a table.

    Raises DownloadError when a server refuses, is wrong about a file, or cannot be reached.
    """
    download = getattr(source, "download", None)
    return FETCHERS[type(download)].fetch(source, base, data, execution) if download else []
