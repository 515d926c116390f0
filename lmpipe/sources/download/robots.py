"""Ask robots.txt before asking for a page, as RFC 9309 says.

protego reads the file: Scrapy's parser, which knows wildcards and takes the longest match, and matches them
without regular expressions, so that no rule can take for ever. urllib.robotparser knows neither.
"""

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
    """The rules of every host that was asked about, each fetched once; its Crawl-delay binds the client."""

    client: Client
    rules: dict[str, Protego | None] = field(default_factory=dict)

    def allows(self, url: str) -> bool:
        """Tell whether the host lets lmpipe fetch `url`; no when its rules cannot be had (section 2.3.1.4).

        Raises DownloadError for what is no address.
        """
        rules = self.of(url)
        return rules is not None and bool(rules.can_fetch(str(checked_url(url)), AGENT))

    def delay(self, url: str) -> float | None:
        """Return the seconds between two requests that the host asks for, None when it asks for none."""
        rules = self.of(url)
        return rules.crawl_delay(AGENT) if rules is not None else None

    def of(self, url: str) -> Protego | None:
        """Fetch and keep the rules of a host."""
        root = checked_url("/robots.txt", checked_url(url))
        key = str(root)
        if key not in self.rules:
            self.rules[key] = self.fetch(key)
            self.client.keep_distance(root.host, self.delay(key) or 0.0)
        return self.rules[key]

    def fetch(self, url: str) -> Protego | None:
        """Fetch one robots.txt, where a 4xx means that there are no rules; None when it cannot be had."""
        try:
            answer = self.client.get(url, max_bytes=MAX_BYTES)
        except DownloadError:
            return None
        if 400 <= answer.status < 500:
            return Protego.parse("")
        return Protego.parse(answer.body.decode("utf-8", "replace")) if answer.status == 200 else None
