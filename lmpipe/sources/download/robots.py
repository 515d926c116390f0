"""Ask robots.txt before asking for a page, as RFC 9309 says.

protego reads the file (Scrapy's parser; urllib.robotparser knows neither wildcards nor longest match).
"""

import threading
from dataclasses import dataclass, field

from protego import Protego

from lmpipe.errors import DownloadError
from lmpipe.sources.download.http import Client, checked_url

AGENT = "lmpipe"
"""The name that rules are looked up for."""
MAX_BYTES = 500 << 10
"""What a crawler must read at least (RFC 9309, section 2.5); a longer file is refused as unreadable."""


@dataclass(slots=True)
class Robots:
    """The rules of every host that was asked about, each fetched once, by whichever thread comes first."""

    client: Client
    rules: dict[str, Protego | None] = field(default_factory=dict)
    turns: dict[str, threading.Lock] = field(default_factory=dict)
    """Held while a host's rules are fetched."""

    def allows(self, url: str) -> bool:
        """Tell whether the host lets lmpipe fetch `url`; no when its rules cannot be had (section 2.3.1.4).

        Raises DownloadError for what is no http or https address.
        """
        rules = self.of(url)
        return rules is not None and bool(rules.can_fetch(url, AGENT))

    def of(self, url: str) -> Protego | None:
        """Fetch and keep the rules of a host; a 4xx means that there are none."""
        address = checked_url(url)
        root = str(address.copy_with(path="/robots.txt", query=None, fragment=None))
        with self.turns.setdefault(root, threading.Lock()):
            if root not in self.rules:
                self.rules[root] = self.fetch(root)
                rules = self.rules[root]
                delay = rules.crawl_delay(AGENT) if rules is not None else None
                if delay is not None and float(delay) > 0:  # not for NaN, which a file may say
                    self.client.keep_distance(address.host, float(delay))
            return self.rules[root]

    def fetch(self, url: str) -> Protego | None:
        """Fetch one robots.txt; None when it cannot be had."""
        try:
            answer = self.client.get(url, max_bytes=MAX_BYTES)
        except DownloadError:
            return None
        if 400 <= answer.status < 500:
            return Protego.parse("")
        return Protego.parse(answer.body.decode("utf-8", "replace")) if answer.status == 200 else None
