"""Fetch one file by its address: what an evaluation set lies in."""

from pathlib import Path

from lmpipe.settings import SetDownload
from lmpipe.sources.download.http import Client
from lmpipe.storage import storage_errors

MAX_BYTES = 4 << 30
"""The largest file that is taken; WikiText-103 has 0.5 GB."""


def fetch_file(settings: SetDownload, path: Path) -> None:
    """Bring a file to `path`; a cut transfer goes on where it was cut.

    Raises DownloadError when the server refuses, or has another file than the settings say.
    """
    digest = ("sha256", settings.sha256) if settings.sha256 is not None else None
    with storage_errors(path.parent), Client(settings.http) as client:
        path.parent.mkdir(parents=True, exist_ok=True)
        client.save(settings.url, path, digest=digest, max_bytes=MAX_BYTES)
