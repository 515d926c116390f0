"""Ask other people's servers, politely and without trusting them.

Only http and https, and no name leads into a private network (connection.py); redirects, sizes, decompression
and time are bounded; a host is asked one thing at a time, at a distance, by however many threads. `get` is for
small answers, `save` for files: a cut transfer goes on by Range where it was cut, in this process or the next,
and a file appears under its name only when it is whole.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import httpx

from lmpipe import __version__
from lmpipe.errors import DownloadError
from lmpipe.settings import HttpSettings
from lmpipe.sources.download.connection import CutError, TimedStream, Transport
from lmpipe.storage import write_json

log = logging.getLogger(__name__)

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT = frozenset({301, 308})
BUSY = frozenset({429, 500, 502, 503, 504})
"""Statuses that mean: ask again later."""
LONGEST_PAUSE = 300.0
"""Seconds; a Retry-After beyond it is not waited for."""
SPARE_DISK = 1 << 30
"""Bytes that must stay free on the disk."""
MAX_VALIDATOR = 1000
"""Characters of an ETag; they have some 40."""
RANGE = re.compile(r"bytes (\d{1,18})-")
"""How Content-Range says where a partial answer begins."""


class Response(NamedTuple):
    """An answer, decompressed."""

    url: str
    """Where it came from at last."""
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    redirects: tuple[tuple[int, str], ...]
    """Status and target of each hop."""


class Part(NamedTuple):
    """A file that is being transferred: NAME.part, and beside it what the server called this version."""

    path: Path
    note: Path

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """ETag or date of the version that is there, for If-Range (RFC 9110, section 13.1.5)."""
        try:
            found = json.loads(self.note.read_text(encoding="utf-8")).get("validator")
        except (FileNotFoundError, ValueError, AttributeError):
            return None
        return found if isinstance(found, str) else None

    def begin(self, validator: str | None) -> None:
        """Forget what is there and begin another version."""
        self.path.unlink(missing_ok=True)
        write_json(self.note, {"validator": validator})

    def discard(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@dataclass(slots=True)
class Client(contextlib.AbstractContextManager["Client"]):
    """A client for one source, for any number of threads; it remembers when it last asked each host."""

    settings: HttpSettings
    http: httpx.Client = field(init=False)
    turns: dict[str, threading.Lock] = field(default_factory=dict)
    """Held while a host is asked."""
    next_request: dict[str, float] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        contact = self.settings.contact.strip()
        if not contact or not contact.isprintable():
            raise DownloadError(
                f"http.contact: expected an e-mail address or a URL, found {contact!r}. Servers want it."
            )
        self.http = httpx.Client(
            transport=Transport(self.settings.private),
            trust_env=False,
            follow_redirects=False,
            timeout=self.settings.timeout,
            headers={"User-Agent": f"lmpipe/{__version__} ({contact})", "Accept": "*/*"},
        )

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def get(self, url: str, *, max_bytes: int, headers: Mapping[str, str] | None = None) -> Response:
        """Return the answer to a GET, whatever its status, but for 429 and 5xx, which are asked again.

        Raises DownloadError when there is no answer, or one of more than `max_bytes`.
        """
        for attempt in range(self.settings.retries + 1):
            try:
                with self.opened(url, {"Accept-Encoding": "gzip", **(headers or {})}) as (response, hops):
                    if response.status_code not in BUSY:
                        body = read_bounded(response, max_bytes)
                        lower = {name.lower(): value for name, value in response.headers.items()}
                        final = hops[-1][1] if hops else url
                        return Response(final, response.status_code, lower, body, tuple(hops))
                    reason, after = f"status {response.status_code}", response.headers.get("Retry-After")
            except httpx.TransportError as error:
                reason, after = str(error) or type(error).__name__, None
            self.pause(url, attempt, reason, after)
        raise DownloadError(f"{url}: no answer after {self.settings.retries + 1} attempts: {reason}. Try again later.")

    def save(
        self,
        url: str,
        path: Path,
        *,
        size: int | None = None,
        digest: tuple[str, str] | None = None,
        max_bytes: int | None = None,
    ) -> int:
        """Transfer a file to `path` and return its bytes; `digest` is (algorithm, hexadecimal).

        Raises DownloadError when the server does not have the file, or another one.
        """
        part = Part(path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json"))
        resumed = part.size > 0
        if size is not None:
            check_disk(path.parent, size - part.size)
        self.complete(url, part, size, max_bytes, digest is not None)
        problem = difference(part.path, size, digest)
        if problem and resumed:
            log.warning("%s: %s after a resumed transfer; fetching it anew", url, problem)
            part.discard()
            self.complete(url, part, size, max_bytes, digest is not None)
            problem = difference(part.path, size, digest)
        if problem:
            part.discard()
            raise DownloadError(f"{url}: {problem}. The server has another file than announced; try another mirror.")
        with part.path.open("rb") as file:
            os.fsync(file.fileno())
        part.path.replace(path)
        part.note.unlink(missing_ok=True)
        return path.stat().st_size

    def complete(self, url: str, part: Part, size: int | None, max_bytes: int | None, verified: bool) -> None:
        """Transfer until all is there; only attempts that get no further than any before count."""
        attempt, furthest = 0, part.size
        while True:
            after = None
            try:
                after = self.transfer(url, part, size, max_bytes, verified)
                if after is None:
                    return
                reason = "the server is busy"
            except (httpx.TransportError, CutError) as error:
                reason = str(error) or type(error).__name__
            attempt, furthest = (0, part.size) if part.size > furthest else (attempt + 1, furthest)
            if attempt > self.settings.retries:
                raise DownloadError(
                    f"{url}: {part.size} bytes came, then nothing in {attempt} attempts: {reason}. Run it again later:"
                    " it goes on where it was cut."
                )
            self.pause(url, attempt, reason, after)

    def transfer(self, url: str, part: Part, size: int | None, max_bytes: int | None, verified: bool) -> str | None:
        """Make one request for what is missing; return None when complete, Retry-After when the server is busy."""
        have, validator = part.size, part.validator()
        if size is not None and have == size:
            return None
        wanted = {"Accept-Encoding": "identity"}
        if have and (validator or verified) and (size is None or have < size):
            wanted |= {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})
        with self.opened(url, wanted) as (response, _):
            if response.status_code in BUSY:
                return response.headers.get("Retry-After") or ""
            if response.status_code == 416:  # another file than the one that was begun
                part.discard()
                raise CutError("the file on the server has changed")
            if response.status_code == 206 and content_start(response) != have:
                part.discard()
                raise CutError("the server sent another part than it was asked for")
            if response.status_code == 206:
                mode = "ab"
            elif response.status_code == 200:
                part.begin(version_of(response))
                mode, have = "wb", 0
            else:
                raise DownloadError(
                    f"{url}: expected the file, found status {response.status_code}. Check the address."
                )
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdecimal() else size
            limit = size if size is not None else max_bytes
            if limit is not None and total is not None and total > limit:
                raise DownloadError(f"{url}: expected at most {limit} bytes, found {total}. Try another mirror.")
            if mode == "wb" and size is None and total is not None:
                check_disk(part.path.parent, total)
            with part.path.open(mode) as file:
                steady(response, self.settings.timeout)
                for block in response.iter_raw():
                    have += len(block)
                    if limit is not None and have > limit:
                        raise DownloadError(f"{url}: expected at most {limit} bytes, found more. Try another mirror.")
                    file.write(block)
        if total is not None and have < total:
            raise CutError(f"cut off after {have} of {total} bytes")
        return None

    @contextlib.contextmanager
    def opened(self, url: str, headers: Mapping[str, str]) -> Iterator[tuple[httpx.Response, list[tuple[int, str]]]]:
        """Open a GET, following redirects hop by hop with every check; gives the response and the hops."""
        hops: list[tuple[int, str]] = []
        current = checked_url(url)
        while True:
            with self.requested(current, headers) as response:
                target = response.headers.get("Location")
                if response.status_code not in REDIRECTS or not target:
                    yield response, hops
                    return
            following = checked_url(str(current.join(target)))
            if current.scheme == "https" and following.scheme == "http":
                raise DownloadError(f"{url}: redirected from https to {following}, which anyone could have changed.")
            hops.append((response.status_code, str(following)))
            if len(hops) > MAX_REDIRECTS:
                raise DownloadError(f"{url}: more than {MAX_REDIRECTS} redirects, the last to {following}.")
            current = following

    @contextlib.contextmanager
    def requested(self, url: httpx.URL, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Send one request, when it is this thread's turn to ask the host."""
        with self.turns.setdefault(url.host, threading.Lock()):
            self.wait(url.host)
            response = self.http.send(self.http.build_request("GET", url, headers=headers), stream=True)
            try:
                yield response
            finally:
                response.close()

    def keep_distance(self, host: str, seconds: float) -> None:
        """Honour a host's Crawl-delay from now on."""
        self.distances[host] = min(seconds, LONGEST_PAUSE)

    def wait(self, host: str) -> None:
        """Keep the distance between two requests to a host."""
        now = time.monotonic()
        due = max(self.next_request.get(host, 0.0), now)
        self.next_request[host] = due + max(1 / self.settings.requests_per_second, self.distances.get(host, 0.0))
        time.sleep(due - now)

    def pause(self, url: str, attempt: int, reason: str, after: str | None) -> None:
        """Wait before another attempt: as long as the server says, else longer each time."""
        told = retry_after(after)
        if told is not None and told > LONGEST_PAUSE:
            raise DownloadError(f"{url}: the server asks to come back in {told:.0f} s. Run it again then.")
        seconds = min(2**attempt / self.settings.requests_per_second, LONGEST_PAUSE) if told is None else told
        log.info("%s: %s; again in %.1f s", url, reason, seconds)
        time.sleep(seconds)


def checked_url(url: str) -> httpx.URL:
    """Parse an address; raises DownloadError for other schemes, user names, and what is no address."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise DownloadError(f"{url[:200]!r}: no URL: {error}.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise DownloadError(f"{url[:200]!r}: expected an http or https address, found scheme {parsed.scheme!r}.")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise DownloadError(f"{url[:200]!r}: expected a port below 65536, found {parsed.port}.")
    if parsed.userinfo:
        raise DownloadError(f"{parsed.host}: expected an address without user name and password.")
    return parsed


def retry_after(value: str | None) -> float | None:
    """Read how many seconds a server asks for, given as such or as a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        due = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((due.replace(tzinfo=due.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def read_bounded(response: httpx.Response, max_bytes: int) -> bytes:
    """Read and decompress a body; at no time more than `max_bytes` are held."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", ""):
        raise DownloadError(f"{response.url}: expected gzip or no compression, found {coding!r}.")
    inflater = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    body = bytearray()
    for block in response.iter_raw():
        try:
            body += inflater.decompress(block, max_bytes + 1 - len(body)) if inflater else block
        except zlib.error as error:
            raise DownloadError(f"{response.url}: damaged gzip: {error}.") from None
        if len(body) > max_bytes:
            raise DownloadError(f"{response.url}: expected at most {max_bytes} bytes, found more.")
        if inflater and inflater.unused_data:
            raise DownloadError(f"{response.url}: damaged gzip: more bytes after its end.")
    if inflater and body and not inflater.eof:
        raise DownloadError(f"{response.url}: damaged gzip: its end is missing.")
    return bytes(body)


def steady(response: httpx.Response, window: float) -> None:
    """Lift the deadline of an answer whose headers are here: from now on a steady flow will do."""
    stream = response.extensions["network_stream"]
    assert isinstance(stream, TimedStream), "our own transport made it"
    stream.steady(window)


def version_of(response: httpx.Response) -> str | None:
    """Return what names this version of a file for If-Range: a strong ETag, else the date."""
    etag = asked_again_with(response.headers.get("ETag"))
    return etag if etag.startswith('"') else asked_again_with(response.headers.get("Last-Modified")) or None


def asked_again_with(value: str | None) -> str:
    """Take a server's header value for a later request; none where it could not be sent: not ASCII, or very long."""
    return value if value and value.isascii() and len(value) <= MAX_VALIDATOR else ""


def content_start(response: httpx.Response) -> int | None:
    """Return where a partial answer begins (Content-Range: bytes 100-199/200)."""
    found = RANGE.match(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def difference(path: Path, size: int | None, digest: tuple[str, str] | None) -> str | None:
    """Say how a file differs from what was announced; None when it does not."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"expected {size} bytes, found {found}"
    if digest is not None:
        with path.open("rb") as file:
            sum_found = hashlib.file_digest(file, digest[0]).hexdigest()
        if sum_found != digest[1].lower():
            return f"expected {digest[0]} {digest[1]}, found {sum_found}"
    return None


def check_disk(folder: Path, size: int) -> None:
    """Refuse a transfer that would fill the disk."""
    free = shutil.disk_usage(folder).free
    if size + SPARE_DISK > free:
        raise DownloadError(
            f"{folder}: {size} bytes are to come and {SPARE_DISK} must stay free, but only {free} are."
            " Make room, or name another data folder."
        )
