"""Wikipedia pages to text, one core: our renderer against wikiextractor and mwparserfromhell's strip_code.

make bench-wikipedia

All three get the same articles of corpora/wikipedia/enwiki-sample-2.xml.bz2, cut out of the XML beforehand and
still escaped as XML, and must undo that themselves; rates are per MB of it. wikiextractor runs as its command
line does by default, without expanding templates. What the texts lack is measured by rules that do not know how
any of them was made: visible holes (lmpipe.sources.holes), and whether the argument of an in-line template that
readers see is in the text.
"""

import bz2
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from types import ModuleType

import mwparserfromhell
from mwparserfromhell.nodes import Template

from lmpipe.sources.holes import visible_holes
from lmpipe.sources.wikitext import render
from tests.bench.harness import corpora, finish, median_seconds

NUM_SLOW = 12
"""Articles that mwparserfromhell is timed with; it takes seconds for more."""
LONG = 4000
"""Characters of wikitext above which an article counts as long (reference/data.md 2.4)."""
SHOWN = {
    "convert": 1, "cvt": 1, "lang": 2, "transl": 2, "transliteration": 2, "nihongo": 2, "quote": 1, "blockquote": 1,
    "cquote": 1, "as of": 1, "val": 1, "frac": 1, "nowrap": 1, "abbr": 1, "circa": 1, "ipa": 1, "small": 1, "sup": 1,
    "sub": 1, "ill": 1, "formatnum": 1, "birth date": 1, "birth date and age": 1, "death date": 1, "mvar": 1, "math": 1,
    "hms": 1, "uss": 1, "angle bracket": 1, "angbr": 1, "respell": 1, "etymology": 2, "linktext": 1, "ipac-en": -1,
}  # fmt: skip
"""In-line templates that readers see, with the argument that must be in the text; -1: its last sound."""
FAMILY = re.compile(r"(?:lang|ipa)-[a-z-]{2,}")
"""{{lang-de|Wort}} and {{IPA-fr|mo}}: their first argument."""
WORD = re.compile(r"\w+")


@cache
def articles() -> tuple[str, ...]:
    """Cut the articles out of the sample; as in the dump, escaped for XML."""
    dump = bz2.decompress((corpora() / "wikipedia" / "enwiki-sample-2.xml.bz2").read_bytes()).decode()
    texts = re.findall(r"<text[^>]*>(.*?)</text>", dump, re.DOTALL)
    return tuple(text for text in texts if not text.lower().startswith("#redirect"))


def ours(page: str) -> str:
    """Render an article."""
    return render(unescape(page), variant="zh-hans", lang="en", title="").text


def stripped(page: str) -> str:
    """Strip an article as Hugging Face's and NeMo's Wikipedia recipes do."""
    return str(mwparserfromhell.parse(unescape(page)).strip_code())


@cache
def wikiextractor() -> ModuleType:
    """Load wikiextractor 3.0.6, whose import fails since Python 3.11.

    "(?i)" in the middle of a pattern became an error: it is moved to the front of its two patterns, where Python
    up to 3.10 applied it anyway. Nothing else is changed.
    """
    package = importlib.util.find_spec("wikiextractor")
    if package is None or package.submodule_search_locations is None:
        raise SystemExit("wikiextractor is not installed; run make bench-wikipedia, which installs the extra 'bench'")
    path = Path(package.submodule_search_locations[0]) / "extract.py"
    source = path.read_text(encoding="utf-8")
    source = source.replace(r"'\[(((?i)' +", r"'(?i)\[((' +").replace('r"""^(http', 'r"""(?i)^(http')
    module = ModuleType("wikiextractor_extract")
    with warnings.catch_warnings(action="ignore"):  # its own escapes such as "\w" in plain strings
        exec(compile(source.replace("((?i)gif", "(gif"), str(path), "exec"), module.__dict__)
    return module


def extracted(page: str) -> str:
    """Extract an article with wikiextractor's defaults."""
    extractor = wikiextractor().Extractor("1", "1", "", "", [page])
    return "\n".join(extractor.clean_text(page, expand_templates=False))


def rates() -> dict[str, float]:
    """Measure MB of XML per second and core."""
    whole, some = articles(), articles()[:NUM_SLOW]
    contestants: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
        "lmpipe": (ours, whole),
        "wikiextractor": (extracted, whole),
        "lmpipe, first articles": (ours, some),
        "mwparserfromhell, first articles": (stripped, some),
    }
    wikiextractor()
    seconds = median_seconds({name: lambda f=f, p=p: [f(page) for page in p] for name, (f, p) in contestants.items()})
    return {
        name: sum(len(page.encode()) for page in pages) / 1e6 / seconds[name]
        for name, (_, pages) in contestants.items()
    }


def ratios(measured: dict[str, float]) -> dict[str, float]:
    """Say how many times as fast we are."""
    return {
        "wikitext_vs_wikiextractor": measured["lmpipe"] / measured["wikiextractor"],
        "wikitext_vs_mwparserfromhell": measured["lmpipe, first articles"]
        / measured["mwparserfromhell, first articles"],
    }


def hole_figures() -> dict[str, float]:
    """Measure what long articles lack, in per cent: of articles with holes, of those that lost an in-line template
    that readers see, and of such templates lost."""
    pages = [page for page in articles() if len(unescape(page)) > LONG]
    wanted = [inline_templates(unescape(page)) for page in pages]
    figures = {}
    for name, extract in (("lmpipe", ours), ("mwparserfromhell", stripped), ("wikiextractor", extracted)):
        texts = [extract(page) for page in pages]
        lost = [missing(text, words) for text, words in zip(texts, wanted, strict=True)]
        figures |= {
            f"{name}: articles with holes": 100 * sum(visible_holes(text) > 0 for text in texts) / len(pages),
            f"{name}: articles that lost templates": 100 * sum(number > 0 for number in lost) / len(pages),
            f"{name}: templates lost": 100 * sum(lost) / sum(map(len, wanted)),
        }
    return figures


def inline_templates(wikicode: str) -> list[str]:
    """List the words that the in-line templates of an article must leave: of those in the running text."""
    parsed = mwparserfromhell.parse(wikicode)
    for tag in parsed.filter_tags(matches=lambda tag: str(tag.tag).lower() in ("ref", "table", "gallery", "math")):
        parsed.replace(tag, "") if parsed.contains(tag) else None
    found = []
    for place, node in enumerate(parsed.nodes):
        if isinstance(node, Template) and (word := key_word(node)) and in_line(parsed.nodes, place):
            found.append(word)
    return found


def in_line(nodes: list[object], place: int) -> bool:
    """Tell whether other text stands on the line of a node."""
    before = "".join(map(str, nodes[max(place - 3, 0) : place])).rpartition("\n")[2]
    after = "".join(map(str, nodes[place + 1 : place + 4])).partition("\n")[0]
    return bool(WORD.search(before) or WORD.search(after))


def key_word(template: Template) -> str:
    """Say which word a template must leave in the text; nothing for one that is not in the list."""
    name = str(template.name).strip().lower().replace("_", " ")
    key = SHOWN.get(name, 1 if FAMILY.fullmatch(name) else 0)
    arguments = [str(argument.value) for argument in template.params if not argument.showkey]
    if not key or len(arguments) < abs(key):
        return ""
    plain = str(mwparserfromhell.parse(arguments[key if key < 0 else key - 1]).strip_code())
    return max(WORD.findall(plain), key=len, default="")


def missing(text: str, words: list[str]) -> int:
    """Count the words that are not in a text, as often as they should be there at least once."""
    plain = text.replace(",", "")
    return sum(word not in plain for word in words)


def main() -> None:
    """Measure and record all."""
    measured = rates()
    figures = hole_figures()
    for name, figure in figures.items():
        print(f"{name}: {figure:.1f} %")
    finish(measured, "MB/s", ratios(measured), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
