"""Find personal data and credentials in text, with offsets; replace them by stable placeholders.

Every kind is a form plus a check that a chance number fails: Luhn and issuer for cards, mod 97 and the
country's length for IBANs, date and check digit for Chinese identity numbers, the ranges that are given
out for IP addresses and social security numbers. A placeholder names the kind and nothing else
(datatrove rotates fake values, so that its output depends on order and sharding). Only ASCII digits count.

Clean text costs two or three scans in native code: one for '@', one for seven digits with separators
between them (numbers.py works on those places alone), one for addresses.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lmpipe.text.api_keys import find_keys
from lmpipe.text.numbers import find_numbers

PRIORITY = ("api_key", "email", "iban", "cn_id", "card", "ssn", "ip", "cn_mobile", "phone")
"""All kinds; where two overlap the one that stands first, whose check says more, is taken."""


class Span(NamedTuple):
    """One piece of personal data: text[start:end]."""

    kind: str
    start: int
    end: int


EMAIL_DOMAIN = re.compile(
    r"@((?:[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ\-]{0,61}[A-Za-z0-9À-ɏ])?\.){1,8}([A-Za-z]{2,24}))(?![A-Za-z0-9_\-@])"
)
"""From the '@' on, so that the scan is a search for one character; Latin letters with accents (IDN) too, but no
Chinese ones, which stand beside addresses without a blank."""
EMAIL_LOCAL = re.compile(r"[A-Za-z0-9_%+\-](?:\.?[A-Za-z0-9!#$&'*_%+/=?^`{|}~\-]){0,63}")
"""Matched on the reversed text before the '@'."""
LOCAL_CHARS = 64
"""Longest local part (RFC 5321, 4.5.3.1.1)."""
FILE_ENDING = re.compile(r"png|jpe?g|gif|svg|webp|avif|ico|css|jsx?|tsx?|json|html?|php|py|pdf|mp[34]", re.IGNORECASE)
"""icon@2x.png is a file, not a mailbox."""
NOT_PEOPLE = frozenset(["git"])
"""git@github.com:owner/repository is an address of a machine."""

IPV4 = re.compile(r"[0-9][0-9]{0,2}(?:\.[0-9]{1,3}){3}")
"""Begins with a plain digit, so that the engine scans for digits in one loop; bounds are checked after."""
IPV4_BEFORE = re.compile(
    r"[0-9A-Za-z_\-]$|[0-9A-Za-z]\.$|(?:\b(?:version|ver\.?|release|build|firmware|section|sec\.)|§|版本)\s*$",
    re.IGNORECASE,
)
"""What makes four numbers a version or a section: a word in front, or a fifth number."""
IPV4_AFTER = re.compile(r"[0-9A-Za-z_]|[.\-][0-9A-Za-z]")
IPV6_SIGN = re.compile(r":[0-9A-Fa-f]{0,4}:")
"""The prefilter of IPv6: two colons with at most one group between them."""
IPV6 = re.compile(r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![0-9A-Za-z_:])")
IPV6_HEAD = re.compile(r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,6}\Z")
"""What stands before the IPv4 address inside an IPv6 one: ::ffff: or 64:ff9b:: (RFC 4291, 2.2)."""
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 range that is given out (IANA); it keeps out times, C++ names and dead::beef."""
CONTEXT_CHARS = 12
"""Characters in front of an address that are looked at."""
HEAD_CHARS = 31
"""Characters of the longest IPV6_HEAD, and the one before it."""


def find(text: str, kinds: Sequence[str] = PRIORITY) -> list[Span]:
    """Find the spans of the given kinds, sorted by place, without overlap; kinds are those of PRIORITY."""
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in PRIORITY if kind in kinds}
    for kind, finder in FINDERS.items():
        if kind in found:
            found[kind].extend(finder(text))
    if found.keys() & NUMBER_KINDS:
        for kind, start, end in find_numbers(text):
            if kind in found:
                found[kind].append((start, end))
    return without_overlap(found, len(text)) if any(found.values()) else []


def without_overlap(found: dict[str, list[tuple[int, int]]], length: int) -> list[Span]:
    """Keep a span unless one of a kind with priority, or an earlier one of its own, covers a part of it."""
    taken = bytearray(length)
    spans = []
    for kind, places in found.items():
        for start, end in sorted(places):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                spans.append(Span(kind, start, end))
    return sorted(spans, key=lambda span: span.start)


def redact(text: str, spans: Sequence[Span]) -> str:
    """Replace each span by its placeholder, <EMAIL>, <CN_ID> ...; `spans` as `find` gives them."""
    pieces, done = [], 0
    for span in spans:
        pieces += [text[done : span.start], f"<{span.kind.upper()}>"]
        done = span.end
    return "".join([*pieces, text[done:]])


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Yield e-mail addresses with a domain of Latin letters; user@localhost and @handle@server are none."""
    for match in EMAIL_DOMAIN.finditer(text):
        at = match.start()
        before = text[max(0, at - LOCAL_CHARS - 1) : at][::-1]
        local = EMAIL_LOCAL.match(before)
        if local is None or FILE_ENDING.fullmatch(match[2]) or local[0][::-1] in NOT_PEOPLE:
            continue
        if before[local.end() : local.end() + 1] == "@" or local.end() > LOCAL_CHARS:
            continue
        yield at - local.end(), match.end()


def find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield public IP addresses; private, local and documentation ranges name nobody."""
    for match in IPV4.finditer(text):
        before = text[max(0, match.start() - CONTEXT_CHARS) : match.start()]
        if not IPV4_BEFORE.search(before) and not IPV4_AFTER.match(text, match.end()) and public_v4(match[0]):
            yield start_of_address(text, *match.span()), match.end()
    if IPV6_SIGN.search(text):
        for match in IPV6.finditer(text):
            if public_v6(match[0]):
                yield match.span()


def start_of_address(text: str, start: int, end: int) -> int:
    """Find where the IPv6 address begins whose last part is an IPv4 address, or where that one does."""
    head = IPV6_HEAD.search(text, max(0, start - HEAD_CHARS), start) if text[start - 1 : start] == ":" else None
    return head.start() if head and parsed_v6(text[head.start() : end]) else start


def public_v4(address: str) -> bool:
    """Tell whether an address belongs to someone; four single digits are a section number or a resolver."""
    try:
        return len(address) > len("1.1.1.1") and ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


def public_v6(address: str) -> bool:
    """Tell whether an address is a global unicast one that somebody holds."""
    parsed = parsed_v6(address)
    return parsed is not None and parsed in GLOBAL_UNICAST and parsed.is_global


def parsed_v6(address: str) -> ipaddress.IPv6Address | None:
    """Read an IPv6 address, or say that it is none."""
    try:
        return ipaddress.IPv6Address(address)
    except ValueError:
        return None


FINDERS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "api_key": find_keys,
    "email": find_emails,
    "ip": find_addresses,
}
"""The kinds that are looked for by themselves."""
NUMBER_KINDS = frozenset(PRIORITY) - FINDERS.keys()
"""The kinds that are runs of digits, found together."""
