"""How the in-line templates that readers see are written out; wikitext_table.py says which name means which.

Each is a function of the template's arguments and the page. None raises, whatever the arguments.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lmpipe.sources.wikitext_marks import HOLE, LOST
from lmpipe.sources.wikitext_names import LANGUAGES, words
from lmpipe.sources.wikitext_units import convert, grouped, number

BLANK = " \t\n" + LOST
"""What an argument may be made of and still say nothing."""
MAX_KEY = 40
"""Characters of a parameter name at most; a longer "name=" is text that holds an equals sign."""

NOT_KEY = re.compile(r"[\[\]<>\n/\"']")
"""What no parameter name holds."""
RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
IPAC = {"'": "ˈ", ",": "ˌ", "_": " ", "-": "", ".": "."}
"""Codes of {{IPAc-en}} that stand for another sign."""
IPAC_LABELS = words("us uk lang local pron also ipa audio icon rp nz au ca sa ipa_only")
"""Codes of {{IPAc-en}} that are labels, not sounds."""
MUSIC = {"flat": "♭", "sharp": "♯", "natural": "♮", "b": "♭", "#": "♯"}
"""Signs of {{music}}."""
CHINESE = {"s": "simplified: ", "t": "traditional: ", "c": "", "p": "pinyin: ", "w": "", "j": ""}
"""Arguments of {{zh}} that are shown, with their labels."""

NUMBER_SIGNS = {
    **dict.fromkeys(
        ["de", "it", "nl", "es", "pt", "tr", "id", "da", "el", "hr", "sr", "sl", "ro", "ca", "vi"], (".", ",")
    ),
    **dict.fromkeys(["fr", "ru", "uk", "pl", "cs", "sk", "sv", "fi", "no", "nb", "nn", "hu", "bg"], (" ", ",")),
}
"""Separators of thousands and of decimals, where they are not those of English."""


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
            if shown := text.strip(BLANK):
                # {{no col break|\n== Heading ==}}: other marks of lines get their line from Brackets.template.
                return "\n" + shown if shown[0] == "=" and text[0] == "\n" else shown
        return ""

    def all(self) -> list[str]:
        """List what was given by position, or by the names 1, 2, ..., without blanks."""
        texts = [self.get(place) for place in range(1, max(len(self.positional), len(self.named)) + 1)]
        return [text for text in texts if text]


Template = Callable[[Arguments, Page], str]


def table(names: str, template: Template) -> dict[str, Template]:
    """Enter one template under several names, separated by |."""
    return dict.fromkeys(names.split("|"), template)


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
    """Make a template that shows its arguments one after the other; lines begin on a line of their own."""
    before = separator if separator == "\n" else ""
    return lambda arguments, page: before + separator.join(arguments.all()) if arguments.all() else ""


def block(*keys: str | int) -> Template:
    """Make a template that shows an argument as a paragraph of its own."""
    return lambda arguments, page: f"\n\n{arguments.get(*keys)}\n\n" if arguments.get(*keys) else ""


def labelled(code: str, text: str, page: Page) -> str:
    """Show {{lang-de|Wort}} as "German: Wort"; the label as the wiki's language has it."""
    names = LANGUAGES.get(page.variant if page.lang == "zh" else page.lang, {})
    name = names.get(code.removesuffix("-short")) or names.get(code.partition("-")[0])
    colon = {"zh": "：", "ru": " ", "uk": " ", "de": " ", "fr": " : "}.get(page.lang, ": ")
    return f"{name}{colon}{text}" if name and text else text


def langx(arguments: Arguments, page: Page) -> str:
    """Show {{langx|de|Wort}}; in English with what follows it."""
    return labelled(arguments.get(1), arguments.get(2, "text"), page) + glossed(arguments, page, 3)


def lang_of(code: str) -> Template:
    """Make a template that shows {{lang-de|Wort}}."""
    return lambda arguments, page: labelled(code, arguments.get(1, "text"), page) + glossed(arguments, page, 2)


def glossed(arguments: Arguments, page: Page, place: int) -> str:
    """Write what {{langx|ru|Москва|Moskva|Moscow}} shows behind its text, from the argument at `place` on."""
    if page.lang != "en" or not arguments.get(place - 1, "text"):
        return ""
    roman, meaning = arguments.get("translit", place), arguments.get("lit", "translation", place + 1)
    return (f", romanized: {roman}" if roman else "") + (f", lit. '{meaning}'" if meaning else "")


def lang(arguments: Arguments, page: Page) -> str:
    """Show {{lang|la|carpe diem|lit=seize the day}}."""
    meaning = arguments.get("lit") if page.lang == "en" else ""
    return last(arguments, page) + (f" (lit. '{meaning}')" if meaning else "")


def marriage(arguments: Arguments, page: Page) -> str:
    """Show {{marriage|Jane Doe|1990|2020|died}} as "Jane Doe (m. 1990; died 2020)"."""
    name, begun, ended = (arguments.get(key) for key in (1, 2, 3))
    reason = arguments.get("reason", "end", 4).lower()
    reason = {"": "div.", "divorced": "div.", "divorce": "div.", "widowed": "wid.", "died": "d.", "death": "d."}.get(
        reason, reason
    )
    inner = "; ".join(text for text in (begun and f"m. {begun}", ended and f"{reason} {ended}") if text)
    return f"{name} ({inner})" if name and inner else name or inner


def us_code(arguments: Arguments, page: Page) -> str:
    """Show {{uscsub|18|3553|a}} as "18 U.S.C. § 3553(a)"."""
    title, section, *parts = [*arguments.all(), "", ""]
    return f"{title} U.S.C. § {section}" + "".join(f"({part})" for part in parts if part)


def density(arguments: Arguments, page: Page) -> str:
    """Show {{pop density|4262635|634658|km2|sqmi|prec=1}} as the quotient and its unit."""
    people, area = number(arguments.get(1)), number(arguments.get(2))
    if people is None or not area:
        return ""
    decimals = arguments.get("prec")
    value = f"{people / area:.{int(decimals) if decimals in tuple('0123456789') else 0}f}"
    units = ["/" + unit for unit in arguments.all()[2:4]]
    return convert([value, *units], {"abbr": "on"}, page.lang)


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
    """Show {{読み仮名|漢字|かんじ}} as 漢字（かんじ）; in Korean with narrow brackets."""
    comma, left, right = (", ", "(", ")") if page.lang == "ko" else ("、", "（", "）")
    rest = comma.join(arguments.all()[1:])
    return arguments.get(1) + (left + rest + right if rest else "")


def named_language(arguments: Arguments, page: Page) -> str:
    """Show {{langwithname|de|ドイツ語|Wort}} as "ドイツ語: Wort"."""
    return ": ".join(text for text in (arguments.get(2), arguments.get(3)) if text)


def suffixed(suffix: str) -> Template:
    """Make a template that shows its argument before a unit."""
    return lambda arguments, page: arguments.get(1) + suffix if arguments.get(1) else suffix.strip()


def coordinates(arguments: Arguments, page: Page) -> str:
    """Show {{coord|10|36|N|172|24|E}} as "10°36′N 172°24′E"; HOLE where it stands beside the title only."""
    if arguments.get("display") in ("title", "t"):
        return HOLE
    out, signs = [], iter("°′″")
    for text in arguments.all():
        if text.upper() in ("N", "S", "E", "W", "O"):
            out.append(text + " ")
            signs = iter("°′″")
        elif number(text) is None or (sign := next(signs, None)) is None:
            break
        else:
            out.append(text + sign)
    if not any(text[-1] == " " for text in out):
        return ", ".join(text.rstrip("°′″") for text in out[:2])
    return "".join(out).strip()


def localized(text: str, page: Page) -> str:
    """Write a number as {{formatnum:}} does, with the separators of the wiki's language."""
    thousands, point = NUMBER_SIGNS.get(page.lang, (",", "."))
    return grouped(text).translate({ord(","): thousands, ord("."): point})


def french_unit(arguments: Arguments, page: Page) -> str:
    """Show {{unité|93|km}} as "93 km", and its power of ten."""
    value, *units = [text.strip() for text in arguments.positional] or [""]
    power = f"×10{raised(arguments.get('e'))}" if arguments.get("e") else ""
    # Each unit is followed by its exponent, which may be empty: {{unité|5|m||s|-1}}.
    named = (unit + raised(exponent) for unit, exponent in zip(units[::2], [*units[1::2], ""], strict=False) if unit)
    return " ".join([localized(value, page) + power, *named])


def etymology(arguments: Arguments, page: Page) -> str:
    """Show {{etymology|la|albedo|whiteness}} as "Latin albedo 'whiteness'"; further words follow "and"."""
    texts, names = arguments.all(), LANGUAGES.get(page.lang, {})
    words = (texts[place : place + 3] for place in range(0, len(texts), 3))
    shown = (" ".join([names.get(code, ""), *rest[:1], *(f"'{gloss}'" for gloss in rest[1:])]) for code, *rest in words)
    return " and ".join(text.strip() for text in shown)


def harvard(arguments: Arguments, page: Page) -> str:
    """Show {{harvtxt|Boolos|Jeffrey|1999}} as "Boolos & Jeffrey (1999)"."""
    *names, year = arguments.all() or [""]
    return f"{' & '.join(names)} ({year})" if names else year


def quoted(arguments: Arguments, page: Page) -> str:
    """Show a quotation in the marks of its language; {{citation}} is one in French, elsewhere a reference."""
    left, right = {"fr": ("« ", " »"), "de": ("„", "“")}.get(page.lang, ("“", "”"))
    if page.lang != "fr" and arguments.named.keys() & {"title", "last", "author", "url"}:
        return HOLE
    return left + arguments.get(1, "text") + right if arguments.get(1, "text") else HOLE


def columns(arguments: Arguments, page: Page) -> str:
    """Show the lists of {{columns-list}}, each line where it was; what names a number of columns is none."""
    texts = [text for text in (*arguments.all(), *arguments.named.values()) if text[:1] in ("*", "#", ":")]
    return "\n" + "\n".join(texts) + "\n" if texts else ""


def korean(arguments: Arguments, page: Page) -> str:
    """Show {{korean|hangul=한글|hanja=漢字|rr=hangeul}} as its words."""
    return "; ".join(text for key in ("hangul", "hanja", "rr", "mr") if (text := arguments.get(key))) or arguments.get(
        1
    )
