"""Connections to other people's servers: to the very address that was checked, and never for longer than agreed.

A name is looked up once, every address of it is judged, and the connection goes to one of those, so that no
second look-up can answer otherwise (DNS rebinding). httpx bounds the time between two bytes only; here a
deadline counts for connecting, TLS, the headers and, for small answers, the body, so that a server that drips
cannot hold a client for days.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from lmpipe.errors import DownloadError

ANSWER_TIMEOUTS = 5
"""Timeouts in which an answer must be whole, or of a file its headers: a server that takes longer drips on purpose."""
SLOWEST = 1_000
"""Bytes per second below which a file's transfer is cut and begun again, measured over one timeout."""

UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out as public IPv6 (RFC 4291, section 2.4; RFC 7249); the rest is local or historical."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as networks without IPv4 see them (RFC 6052)."""


class CutError(Exception):
    """A transfer ended early; what came is kept."""


@dataclass(slots=True)
class TimedStream(httpcore.NetworkStream):
    """A connection that ends at a deadline, or when it brings too little."""

    stream: httpcore.NetworkStream
    host: str
    deadline: float
    """As time.monotonic() counts."""
    window: float | None = None
    """Seconds in which SLOWEST bytes each must come, instead of one deadline for all; see `steady`."""
    came: int = 0
    """Bytes in this window."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there; raises when the time is over."""
        try:
            block = self.stream.read(max_bytes, self.left(timeout))
        except httpcore.ReadTimeout:
            self.left(timeout)  # says so when it was our deadline that ended it
            raise
        self.came += len(block)
        return block

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request."""
        self.stream.write(buffer, self.left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on encrypted, under the same deadline."""
        encrypted = self.stream.start_tls(ssl_context, server_hostname, self.left(timeout))
        return TimedStream(encrypted, self.host, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        """Tell httpcore of the socket below."""
        return self.stream.get_extra_info(info)

    def steady(self, window: float) -> None:
        """From now on, ask for a steady flow instead of an end: for files, which may take hours."""
        self.window, self.came, self.deadline = window, 0, time.monotonic() + window

    def left(self, timeout: float | None) -> float:
        """Return how long the next step may take; raises DownloadError, or of a file CutError, when time is over."""
        now = time.monotonic()
        if self.window is not None and self.came >= SLOWEST * self.window:
            self.came, self.deadline = 0, now + self.window
        seconds = self.deadline - now
        if seconds <= 0 and self.window is not None:
            raise CutError(f"only {self.came} bytes in {self.window:.0f} s")
        if seconds <= 0:
            raise DownloadError(f"{self.host}: expected an answer in time, found one that drips. Try again later.")
        return seconds if timeout is None else min(timeout, seconds)


@dataclass(slots=True)
class CheckedAddresses(httpcore.SyncBackend):
    """Connects to names whose addresses are all public."""

    private: bool
    """Whether private addresses are allowed too."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; raises DownloadError when any of them is private."""
        assert timeout is not None, "every client has a timeout"
        deadline = time.monotonic() + ANSWER_TIMEOUTS * timeout
        failure: Exception = httpcore.ConnectError(f"{host}: no address")
        for address in checked_addresses(host, port, self.private):
            try:
                seconds = max(min(timeout, deadline - time.monotonic()), 0.001)
                stream = httpcore.SyncBackend.connect_tcp(self, address, port, seconds, local_address, socket_options)
                return TimedStream(stream, host, deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class Transport(httpx.HTTPTransport):
    """httpx's own transport over such connections, one a request: their deadlines end with them."""

    def __init__(self, private: bool) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=CheckedAddresses(private),
        )


def checked_addresses(host: str, port: int, private: bool) -> list[str]:
    """Look a host up; raises DownloadError when any of its addresses is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host}: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private and not is_public(address):
            raise DownloadError(
                f"{host}: {address} is a private address. Set http.private = true in the recipe if it is yours."
            )
    return addresses


def is_public(address: str) -> bool:
    """Tell whether an address, and an IPv4 address inside it (6to4, Teredo, NAT64), is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.sixtofour, *(ip.teredo or ())]
        if ip in NAT64:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(v4 is not None and not v4.is_global for v4 in inner) or not (ip in UNICAST or ip in NAT64):
            return False
    return ip.is_global and not ip.is_multicast
