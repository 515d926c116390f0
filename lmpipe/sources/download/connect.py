"""Connect to addresses that were checked, and cut off what is too slow.

A host's addresses are looked up once, all checked, and the connection is made to one of those very addresses,
so that no name leads into a private network, also not one that answers differently the second time (DNS
rebinding); TLS and the Host header keep the name. What comes is counted below HTTP, headers and chunk lengths
with it: a timeout between two bytes alone never ends for a server that sends one byte a minute.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore

from lmpipe.errors import DownloadError

MAX_ADDRESSES = 4
"""Addresses of a host that are tried in turn: IPv6 that leads nowhere, then IPv4."""
HOLDS_IPV4 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""NAT64 (RFC 6052) and IPv4-compatible addresses (RFC 4291): an IPv4 address in the last 32 bits."""


class SlowError(Exception):
    """Less came in a window of time than its pace asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a server must be."""

    window: float
    """Seconds over which is counted."""
    least: float
    """Bytes that must have come in every full window; infinite when all must be over by then."""


@dataclass(slots=True)
class Watched(httpcore.NetworkStream):
    """A connection whose bytes are counted; raises SlowError when it falls behind its pace."""

    stream: httpcore.NetworkStream
    pace: Pace
    began: float = field(default_factory=time.monotonic)
    came: int = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        passed = time.monotonic() - self.began
        if passed > self.pace.window:
            if self.came < self.pace.least:
                raise SlowError(f"only {self.came} bytes in {passed:.1f} s")
            self.began, self.came = time.monotonic(), 0
        data = self.stream.read(max_bytes, timeout)
        self.came += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, timeout)

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Watched(self.stream.start_tls(ssl_context, server_hostname, timeout), self.pace)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


@dataclass(slots=True)
class Connector(httpcore.NetworkBackend):
    """Opens connections to checked addresses, each with the pace that is set at that time."""

    private: bool
    """Whether private addresses may be asked."""
    pace: Pace
    sockets: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = checked_addresses(host, port, self.private)[:MAX_ADDRESSES]
        for address in addresses:
            try:
                stream = self.sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if address == addresses[-1]:
                    raise
            else:
                return Watched(stream, self.pace)
        raise AssertionError("a look-up without an error has an address")


def checked_addresses(host: str, port: int, private: bool) -> list[str]:
    """Look a host up; raises DownloadError when there is no such host or any of its addresses is not public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise DownloadError(f"{host}: there is no such host. Check the address.") from None
        raise httpcore.ConnectError(f"{host}: {error.strerror}") from error
    except UnicodeError:
        raise DownloadError(f"{host[:80]}: expected a host name, found one with an impossible part.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not private and not is_public(address):
            raise DownloadError(
                f"{host}: {address} is a private address. Set http.private = true in the recipe if it is yours."
            )
    return addresses


def is_public(address: str) -> bool:
    """Tell whether an address, or the IPv4 address inside it (mapped, 6to4, Teredo, NAT64), is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in HOLDS_IPV4):
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.is_site_local or any(v4 is not None and not v4.is_global for v4 in inner):
            return False
    return ip.is_global and not ip.is_multicast
