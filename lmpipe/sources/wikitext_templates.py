"""How the in-line templates that readers see are written out; wikitext_table.py says which name means which.

Each is a function of the template's arguments and the page. None raises, whatever the arguments.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lmpipe.sources.wikitext_names import LANGUAGES, pairs, words
from lmpipe.sources.wikitext_units import grouped

BLANK = " \t\n\3"
"""What an argument may be made of and still say nothing; \\3 is HOLE."""
MAX_KEY = 40
"""Characters of a parameter name at most; a longer "name=" is text that holds an equals sign."""

NOT_KEY = re.compile(r"[\[\]<>\n/\"']")
"""What no parameter name holds."""
MONTHS = pairs(
    "1=January|2=February|3=March|4=April|5=May|6=June|7=July|8=August|9=September|10=October|11=November|12=December"
)
RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
IPAC = {"'": "ˈ", ",": "ˌ", "_": " ", "-": "", ".": "."}
"""Codes of {{IPAc-en}} that stand for another sign."""
IPAC_LABELS = words("us uk lang local pron also ipa audio icon rp nz au ca sa ipa_only")
"""Codes of {{IPAc-en}} that are labels, not sounds."""
MUSIC = {"flat": "♭", "sharp": "♯", "natural": "♮", "b": "♭", "#": "♯"}
"""Signs of {{music}}."""
CHINESE = {"s": "simplified: ", "t": "traditional: ", "c": "", "p": "pinyin: ", "w": "", "j": ""}
"""Arguments of {{zh}} that are shown, with their labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the text of a template may depend on."""

    variant: str
    lang: str
    title: str
    kept: list[str] = field(default_factory=list)
    """Text that is not wikitext, set aside until the end."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one template."""

    positional: list[str]
    named: dict[str, str]

    def get(self, *keys: str | int) -> str:
        """Return the first of these arguments (from 1) that is there and not blank, or nothing."""
        for key in keys:
            text = self.named.get(str(key), "")
            if not text and isinstance(key, int) and key <= len(self.positional):
                text = self.positional[key - 1]
            if text := text.strip(BLANK):
                return text
        return ""

    def all(self) -> list[str]:
        """List what was given by position, or by the names 1, 2, ..., without blanks."""
        texts = [self.get(place) for place in range(1, max(len(self.positional), len(self.named)) + 1)]
        return [text for text in texts if text]


Template = Callable[[Arguments, Page], str]


def parse(parts: list[str]) -> Arguments:
    """Tell named arguments from positional ones."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if equals and key and len(key) <= MAX_KEY and not NOT_KEY.search(key):
            named[key] = value.strip()
        else:
            positional.append(part)
    return Arguments(positional, named)


def argument(*keys: str | int) -> Template:
    """Make a template that shows the first of these arguments."""
    return lambda arguments, page: arguments.get(*keys)


def last(arguments: Arguments, page: Page) -> str:
    """Show the last positional argument."""
    return (arguments.all() or [""])[-1]


def constant(text: str) -> Template:
    """Make a template that always shows the same."""
    return lambda arguments, page: text


def listing(separator: str) -> Template:
    """Make a template that shows its arguments one after the other."""
    return lambda arguments, page: separator.join(arguments.all())


def block(*keys: str | int) -> Template:
    """Make a template that shows an argument as a paragraph of its own."""
    return lambda arguments, page: f"\n\n{arguments.get(*keys)}\n\n" if arguments.get(*keys) else ""


def labelled(code: str, text: str, page: Page) -> str:
    """Show {{lang-de|Wort}} as "German: Wort"; the label as the wiki's language has it."""
    names = LANGUAGES.get(page.variant if page.lang == "zh" else page.lang, {})
    name = names.get(code.removesuffix("-short")) or names.get(code.partition("-")[0])
    colon = "：" if page.lang == "zh" else ": "
    return f"{name}{colon}{text}" if name and text else text


def langx(arguments: Arguments, page: Page) -> str:
    """Show {{langx|de|Wort}}."""
    return labelled(arguments.get(1), arguments.get(2, "text"), page)


def nihongo(arguments: Arguments, page: Page) -> str:
    """Show {{nihongo|English|漢字|rōmaji|extra}} as "English (漢字, rōmaji, extra)"."""
    english, kanji, romaji, extra = (arguments.get(key) for key in (1, 2, 3, 4))
    inside = ", ".join(text for text in (kanji, romaji, extra) if text)
    if not english:
        english, inside = romaji or kanji, ", ".join(text for text in (kanji if romaji else "", extra) if text)
    return f"{english} ({inside})" if inside and english else english or inside


def ipac(arguments: Arguments, page: Page) -> str:
    """Show {{IPAc-en|æ|l|'|b|iː}} as /ælˈbiː/."""
    sounds = "".join(IPAC.get(text, text) for text in arguments.all() if text.lower() not in IPAC_LABELS)
    return f"/{sounds.strip()}/" if sounds.strip() else ""


def as_of(arguments: Arguments, page: Page) -> str:
    """Show {{as of|2020|5}} as "As of May 2020"; on other wikis than English, the date alone."""
    if arguments.get("alt"):
        return arguments.get("alt")
    if page.lang != "en":
        return date(arguments, page)
    word = "since" if arguments.get("since") else "as of"
    word = word if arguments.get("lc") else word.capitalize()
    return f"{word} {date(arguments, page)}"


def date(arguments: Arguments, page: Page) -> str:
    """Show year|month|day as Wikipedia writes it, month first unless df is set; Chinese with 年月日."""
    year, month, day = arguments.get(1), arguments.get(2), arguments.get(3)
    if page.lang in ("zh", "ja"):
        return year + (f"年{month}月" if month else "") + (f"{day}日" if month and day else "")
    if month.lstrip("0") in MONTHS:
        month = MONTHS[month.lstrip("0")]
    day = day.lstrip("0")
    if not month or not day:
        return " ".join(text for text in (month, year) if text)
    return f"{day} {month} {year}" if arguments.get("df") else f"{month} {day}, {year}"


def val(arguments: Arguments, page: Page) -> str:
    """Show {{val|1234.5|0.2|e=3|u=m}} as "1,234.5±0.2×10^3 m" with the power raised."""
    text = grouped(arguments.get(1)) + ("±" + arguments.get(2) if arguments.get(2) else "")
    text += f"×10{raised(arguments.get('e'))}" if arguments.get("e") else ""
    unit = arguments.get("u", "ul", "up", "upl")
    return arguments.get("p") + text + (f" {unit}" if unit else "") + arguments.get("s")


def raised(text: str) -> str:
    """Write digits as a superscript."""
    return text.translate(RAISED)


def frac(arguments: Arguments, page: Page) -> str:
    """Show {{frac|1|2}} as 1/2 and {{frac|3|1|2}} as 3 1/2."""
    texts = arguments.all()
    match texts:
        case [bottom]:
            return f"1/{bottom}"
        case [top, bottom]:
            return f"{top}/{bottom}"
        case [whole, top, bottom, *_]:
            return f"{whole} {top}/{bottom}"
    return ""


def circa(arguments: Arguments, page: Page) -> str:
    """Show {{circa|500}} as "c. 500"."""
    return "c. " + " – c. ".join(arguments.all()[:2])


def interwiki(arguments: Arguments, page: Page) -> str:
    """Show the label of {{ill|target|de|Ziel|lt=label}}."""
    return arguments.get("lt", "label", "display", 1)


def chemistry(arguments: Arguments, page: Page) -> str:
    """Show {{chem|H|2|O}} as H2O."""
    return "".join(arguments.all())


def isotope(arguments: Arguments, page: Page) -> str:
    """Show {{nuclide|carbon|14}} as carbon-14."""
    return "-".join(arguments.all()[:2])


def ship(prefix: str) -> Template:
    """Make a template that shows {{USS|Enterprise|CV-6}} as "USS Enterprise (CV-6)"."""

    def show(arguments: Arguments, page: Page) -> str:
        name, number = arguments.get(1), arguments.get(2)
        return f"{prefix} {name}" + (f" ({number})" if number and arguments.get(3) not in ("2", "6") else "")

    return show


def chinese(arguments: Arguments, page: Page) -> str:
    """Show {{zh|t=長城|p=Chángchéng}} as its words, with pinyin last."""
    texts = (label + arguments.get(key) for key, label in CHINESE.items() if arguments.get(key))
    return "; ".join(texts) or arguments.get(1)


def hours(arguments: Arguments, page: Page) -> str:
    """Show {{hms|1|2|3}} as "1h 2m 3s"."""
    parts = zip(arguments.positional, ("h", "m", "s"), strict=False)
    return " ".join(text.strip() + unit for text, unit in parts if text.strip())


def respelled(arguments: Arguments, page: Page) -> str:
    """Show {{respell|al|BEE|doh}} as al-BEE-doh; _ separates words."""
    return "-".join(arguments.all()).replace("-_-", " ")


def verbatim(arguments: Arguments, page: Page) -> str:
    """Show all that was written, as {{sic|hte}}."""
    return "".join(arguments.positional).strip()


def spaced(word: str, separator: str = " ") -> Template:
    """Make a template that shows a word before its arguments, such as "fl. 1200–1250"."""
    return lambda arguments, page: f"{word} {separator.join(arguments.all()[:2])}".strip()


def note(arguments: Arguments, page: Page) -> str:
    """Show {{music|flat}} as its sign."""
    return MUSIC.get(arguments.get(1), arguments.get(1))


def enclosed(left: str, right: str) -> Template:
    """Make a template that shows its argument between two signs."""
    return lambda arguments, page: left + arguments.get(1) + right if arguments.get(1) else ""


def money(symbol: str) -> Template:
    """Make a template that shows an amount of money."""
    return lambda arguments, page: symbol + arguments.get(1)


def reading(arguments: Arguments, page: Page) -> str:
    """Show {{読み仮名|漢字|かんじ}} as 漢字（かんじ）."""
    rest = "、".join(arguments.all()[1:])
    return f"{arguments.get(1)}（{rest}）" if rest else arguments.get(1)


def named_language(arguments: Arguments, page: Page) -> str:
    """Show {{langwithname|de|ドイツ語|Wort}} as "ドイツ語: Wort"."""
    return ": ".join(text for text in (arguments.get(2), arguments.get(3)) if text)
