"""Ask other people's servers, politely and without trusting them.

Only http and https; every address is looked up, checked and then connected to as it was checked, so that
no name can lead into a private network; redirects, sizes, decompression and time are bounded; requests to a
host keep their distance. `get` is for small answers, `save` for files: a cut transfer goes on by Range
where it was cut, in this process or the next, and a file appears under its name only when it is whole.
"""

import contextlib
import hashlib
import ipaddress
import json
import logging
import os
import shutil
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx

from lmpipe import __version__
from lmpipe.errors import DownloadError
from lmpipe.settings import HttpSettings
from lmpipe.storage import write_json

log = logging.getLogger(__name__)

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT = frozenset({301, 308})
BUSY = frozenset({429, 500, 502, 503, 504})
"""Statuses that mean: ask again later."""
LONGEST_PAUSE = 300.0
"""Seconds; a Retry-After beyond it is not waited for."""
GET_TIMEOUTS = 5
"""A small answer that takes longer than so many timeouts is dripped on purpose."""
SLOWEST = 1_000
"""Bytes per second below which a transfer is cut and begun again, measured over one timeout."""
SPARE_DISK = 1 << 30
"""Bytes that must stay free on the disk."""


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


class CutError(Exception):
    """A transfer ended early; what came is kept."""


@dataclass(slots=True)
class Client(contextlib.AbstractContextManager["Client"]):
    """A client for one source; it remembers when it last asked each host."""

    settings: HttpSettings
    http: httpx.Client = field(init=False)
    next_request: dict[str, float] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        contact = self.settings.contact.strip()
        if not contact or not contact.isprintable():
            raise DownloadError(
                f"http.contact: expected an e-mail address or a URL, found {contact!r}. Servers want it."
            )
        # One connection a request: a kept one is found again by its address, which several names can share.
        self.http = httpx.Client(
            trust_env=False,
            follow_redirects=False,
            timeout=self.settings.timeout,
            limits=httpx.Limits(max_keepalive_connections=0),
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
                        deadline = time.monotonic() + GET_TIMEOUTS * self.settings.timeout
                        body = read_bounded(response, max_bytes, deadline)
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
        """Transfer until all is there; only attempts that bring nothing count."""
        attempt = 0
        while True:
            before, after = part.size, None
            try:
                after = self.transfer(url, part, size, max_bytes, verified)
                if after is None:
                    return
                reason = "the server is busy"
            except (httpx.TransportError, CutError) as error:
                reason = str(error) or type(error).__name__
            attempt = 0 if part.size > before else attempt + 1
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
            if response.status_code == 206 and content_start(response) == have:
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
                for block in steady(response.iter_raw(), self.settings.timeout):
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
        """Send one request to the very address that was checked (no second look-up can answer otherwise)."""
        address = public_address(url, self.settings.private)
        self.wait(url.host)
        request = self.http.build_request(
            "GET",
            url.copy_with(host=address),
            headers={**headers, "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )
        response = self.http.send(request, stream=True)
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
        seconds = min(2**attempt / self.settings.requests_per_second, LONGEST_PAUSE)
        if after and after.isdecimal():
            seconds = float(after)
            if seconds > LONGEST_PAUSE:
                raise DownloadError(f"{url}: the server asks to come back in {after} s. Run it again then.")
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
    if parsed.userinfo:
        raise DownloadError(f"{parsed.host}: expected an address without user name and password.")
    return parsed


def public_address(url: httpx.URL, private: bool) -> str:
    """Look a host up and return its first address; raises DownloadError when any of them is not public."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpx.ConnectError(f"{url.host}: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private and not is_public(address):
            raise DownloadError(
                f"{url.host}: {address} is a private address. Set http.private = true in the recipe if it is yours."
            )
    return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether an address, or the IPv4 address inside it (mapped, 6to4, Teredo, NAT64), is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(v4 is not None and not v4.is_global for v4 in inner):
            return False
    return ip.is_global and not ip.is_multicast


def read_bounded(response: httpx.Response, max_bytes: int, deadline: float) -> bytes:
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
        if time.monotonic() > deadline:
            raise DownloadError(f"{response.url}: expected an answer in seconds, found one that drips.")
    return bytes(body)


def steady(blocks: Iterator[bytes], window: float) -> Iterator[bytes]:
    """Pass blocks on; raises CutError when fewer than SLOWEST bytes a second come over `window` seconds."""
    began, came = time.monotonic(), 0
    for block in blocks:
        yield block
        came += len(block)
        passed = time.monotonic() - began
        if passed > window:
            if came < SLOWEST * passed:
                raise CutError(f"only {came} bytes in {passed:.0f} s")
            began, came = time.monotonic(), 0


def version_of(response: httpx.Response) -> str | None:
    """Return what names this version of a file for If-Range: a strong ETag, else the date."""
    etag: str = response.headers.get("ETag", "")
    modified: str | None = response.headers.get("Last-Modified")
    return etag if etag.startswith('"') else modified


def content_start(response: httpx.Response) -> int | None:
    """Return where a partial answer begins (Content-Range: bytes 100-199/200)."""
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else None


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
