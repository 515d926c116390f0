"""Settings of the sources: where raw text lies or is fetched from, and how it is read."""

from dataclasses import dataclass, field
from typing import Literal

from lmpipe.settings.ranges import Count, Natural, Positive, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How lmpipe behaves towards other people's servers."""

    contact: str
    """E-mail or URL for the User-Agent: Wikimedia and others block clients that nobody can be asked about."""
    requests_per_second: Positive = 1.0
    """Per host; a server's Crawl-delay and Retry-After are honoured beyond it."""
    timeout: Positive = 60.0
    """Seconds without a byte after which a connection is given up."""
    retries: Natural = 5
    """Further attempts after a cut connection, 429 or 5xx, with growing pauses; in a poll of feeds at most one."""
    private: bool = False
    """Whether loopback, link-local and private addresses may be asked: a mirror in one's own network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WikimediaDump:
    """A finished dump of one wiki, taken from Wikimedia or a mirror."""

    wiki: str
    """Database name, such as enwiki or zhwiki."""
    date: str | None = None
    """YYYYMMDD, or None for the newest finished dump."""
    job: Literal["articlesmultistreamdump", "articlesdump"] = "articlesmultistreamdump"
    """Which job of dumpstatus.json; multistream files are read in parallel."""
    site: str = "https://dumps.wikimedia.org"
    """Root of the dump site, which says what there is and with which checksums."""
    mirrors: tuple[str, ...] = ()
    """Roots with the same layout, tried for the files before `site`."""
    http: HttpSettings
    """Behaviour towards the servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonCrawlNews:
    """WARC files of Common Crawl's CC-NEWS, by month."""

    kind: Literal["cc-news"]
    months: tuple[str, ...] = ()
    """YYYY-MM each."""
    path_list: str | None = None
    """A file or URL of WARC paths, one a line, .gz or not, instead of months."""
    first: Count | None = None
    """Take only so many files, in the list's order; a month has some 400 of 1 GB."""
    site: str = "https://data.commoncrawl.org"
    """Root below which the paths lie."""
    http: HttpSettings
    """Behaviour towards the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsFeeds:
    """RSS, Atom and CDF feeds, polled again and again; only new entries are kept each time."""

    kind: Literal["feeds"]
    urls: tuple[str, ...] = ()
    """Addresses of feeds."""
    feed_list: str | None = None
    """A file of addresses, one a line (# begins a comment), or an OPML file, relative to the recipe."""
    pages: bool = False
    """Fetch the page behind each new entry too, where robots.txt allows it."""
    http: HttpSettings
    """Behaviour towards the servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gutenberg:
    """Books of Project Gutenberg, chosen from its catalogue."""

    catalogue: str = "https://www.gutenberg.org/cache/epub/feeds/pg_catalog.csv"
    """pg_catalog.csv (.gz too), rdf-files.tar(.bz2) or a folder of .rdf: a URL, or a path relative to the recipe."""
    mirror: str = "https://aleph.pglaf.org"
    """Root of a mirror; www.gutenberg.org itself is for people, not for robots."""
    languages: tuple[str, ...] = ()
    """Two-letter codes as in the catalogue; empty for all."""
    authors: tuple[str, ...] = ()
    """Parts of authors' names, any of which must occur, in any case; empty for all."""
    first: Count | None = None
    """Take only so many books, in the order of their numbers."""
    http: HttpSettings
    """Behaviour towards the mirror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WikipediaSource:
    """A pages-articles XML dump: bz2 (multistream or not), gz, xz or plain."""

    kind: Literal["wikipedia"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...] = ()
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    download: WikimediaDump | None = None
    """A dump to fetch, instead of paths."""
    wiki: str | None = None
    """Subdomain of wikipedia.org in documents' URLs, such as simple or zh-yue; None for that of `lang`."""
    lang: str
    """BCP 47 language of the wiki, such as en or zh."""
    licence: str = "CC-BY-SA-4.0"
    """Kept with every document, so that a corpus can be cut by licence."""
    namespaces: tuple[int, ...] = (0,)
    """Namespaces to keep; pages of others are counted as skipped."""
    redirects: bool = False
    """Keep redirects too, as rows of (id, title, target) beside the documents; they are counted either way."""
    variant: Literal["zh-hans", "zh-hant"] = "zh-hans"
    """Which side of Chinese -{ }- markup readers see."""
    max_quarantine: Share = 0.05
    """Share of records that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsSource:
    """News pages in WARC files (.warc, .warc.gz) and RSS or Atom feeds (.xml, .rss, .atom)."""

    kind: Literal["news"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...] = ()
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    download: CommonCrawlNews | NewsFeeds | None = None
    """Archives to fetch or feeds to poll, beside or instead of paths."""
    lang: str | None = None
    """Language of all pages, or None to identify it page by page."""
    licence: str = "unknown"
    """Kept with every document."""
    html: Literal["trafilatura", "resiliparse"] = "trafilatura"
    """Which library cuts the main text out of a page."""
    max_quarantine: Share = 0.05
    """Share of records that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelsSource:
    """Books as text, HTML, EPUB or a zip of them; Project Gutenberg header and footer are cut by their markers."""

    kind: Literal["novels"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...] = ()
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    download: Gutenberg | None = None
    """Books to fetch from Project Gutenberg, beside or instead of paths."""
    lang: str | None = None
    """Language of books whose header or catalogue names none; None to identify it."""
    licence: str = "public-domain"
    """Kept with every document."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    markers: Literal["required", "optional"] = "required"
    """Whether a book without Gutenberg markers is quarantined or taken whole."""
    max_quarantine: Share = 0.05
    """Share of books that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """Any corpus on disk, by a mapping of its columns or tags."""

    kind: Literal["local"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs (a .zip of text files too), relative to the recipe; $NAME from the environment."""
    format: Literal["text", "lines", "jsonl", "parquet", "csv", "tagged"]
    """text: one document a file; lines: one a line; tagged: SGML-like records (Reuters, Sogou)."""
    lang: str | None = None
    """Language of all documents, or None to identify it one by one."""
    licence: str = "unknown"
    """Kept with every document."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    record: str | None = None
    """tagged: the tag that encloses one record."""
    fields: dict[str, str] = field(default_factory=dict)
    """Document field (id, title, text, url, created, domain) to column or tag of the file; domain is a genre or topic,
    by which evaluations are told apart."""
    domain: Literal["folder"] | None = None
    """text: the folder that a file lies in is its domain, such as the topics of BBC news."""
    max_quarantine: Share = 0.05
    """Share of records that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSource:
    """Sentences in two languages, a document for each pair; what makes a bad pair is skipped and counted."""

    kind: Literal["parallel"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs, relative to the recipe; $NAME from the environment. lines: one file a language, paired by name
    (train.en.gz and train.de.gz), plain or in a zip (Moses); tsv and csv: both sides in a row (Tatoeba's zip too)."""
    format: Literal["lines", "tsv", "csv"]
    langs: tuple[str, ...]
    """Two languages, such as ["en", "de"]: from which and into which."""
    columns: tuple[Natural, ...] = (0, 1)
    """tsv, csv: columns of the two sides, from 0."""
    header: bool = False
    """tsv, csv: the first row names the columns."""
    prompt: str = "{source}\n{target}"
    """The document's text; all before {target} is what `lmpipe translate` is given to go on from."""
    licence: str = "unknown"
    """Kept with every document."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    max_bytes: Count = 1000
    """UTF-8 bytes of a side at most: longer ones are paragraphs, or two lines that slipped together."""
    max_ratio: Positive = 3.0
    """Bytes of the longer side to the shorter's, 20 added to both so that greetings pass; bytes, because a Chinese
    character is three of them and stands for as many English letters."""
    check_language: bool = True
    """Skip a pair of which a side of MIN_LETTERS or more is surely in another language."""
    copies: bool = False
    """Keep pairs whose sides are the same but for case: names and numbers, often lines that nobody translated."""
    max_quarantine: Share = 0.05
    """Share of records that may be quarantined before the stage fails."""


Source = WikipediaSource | NewsSource | NovelsSource | LocalSource | ParallelSource
