"""Which templates of an article are shown, and how: the list of all that lmpipe keeps.

A template that is not here is dropped: infoboxes, citations, navigation boxes, notes for editors.
"""

from collections.abc import Callable

from lmpipe.sources.wikitext_lines import HOLE
from lmpipe.sources.wikitext_templates import (
    Arguments,
    Page,
    Template,
    argument,
    as_of,
    block,
    chemistry,
    chinese,
    circa,
    constant,
    date,
    enclosed,
    frac,
    hours,
    interwiki,
    ipac,
    isotope,
    labelled,
    langx,
    last,
    listing,
    money,
    named_language,
    nihongo,
    note,
    parse,
    raised,
    reading,
    respelled,
    ship,
    spaced,
    val,
    verbatim,
)
from lmpipe.sources.wikitext_units import convert, grouped

Function = Callable[[str, Arguments], str]


def expand(parts: list[str], page: Page) -> str:
    """Say what {{name|...}} shows; HOLE for a template that shows nothing here."""
    name = parts[0].strip().replace("_", " ").lower()
    name = name.removeprefix("template:").removeprefix("subst:")
    template = TEMPLATES.get(name) or family(name)
    if template is not None:
        return template(parse(parts[1:]), page) or HOLE
    head, colon, first = parts[0].strip().partition(":")
    function = FUNCTIONS.get(head.lower()) if colon else None
    return (function(first.strip(), parse(parts[1:])) or HOLE) if function else HOLE


def family(name: str) -> Template | None:
    """Find a template by the beginning of its name: lang-de, ipa-fr, link-en."""
    head, dash, code = name.partition("-")
    if not dash:
        return None
    if head == "lang" and len(code) > 1:
        return lambda arguments, page: labelled(code, arguments.get(1, "text"), page)
    if head in ("ipa", "ipac") and len(code) >= 2:
        return lambda arguments, page: f"[{arguments.get(1)}]" if arguments.get(1) else ""
    return argument(1) if head == "link" else None


def table(names: str, template: Template) -> dict[str, Template]:
    """Enter one template under several names, separated by |."""
    return dict.fromkeys(names.split("|"), template)


TEMPLATES = {
    # quantities
    **table("convert|conv|convertir", lambda a, page: convert(a.positional, a.named, page.lang)),
    **table("cvt", lambda a, page: convert(a.positional, {"abbr": "on"} | a.named, page.lang)),
    **table("val|num|gaps|nts|ntsh", val),
    **table("frac|fraction|sfrac|frac2|vfrac", frac),
    **table("formatnum|format price|formatprice", lambda arguments, page: grouped(arguments.get(1))),
    **table("e|e-sp|10^|esp", lambda arguments, page: "×10" + raised(arguments.get(1))),
    **table("su", lambda arguments, page: arguments.get("p", 1) + arguments.get("b", 2)),
    **table("sup|superscript", lambda arguments, page: raised(arguments.get(1))),
    **table("sub|subscript", argument(1)),
    **table("chem|chem2|ce", chemistry),
    **table("nuclide|nuclide2|simplenuclide|simplenuclide2|isotope", isotope),
    **table("hms|ra", hours),
    **table("railgauge|track gauge", argument(1)),
    **table("us$|usd", money("$")),
    **table("gbp|pound sterling|£", money("£")),
    **table("euro|€|eur", money("€")),
    **table("inr|indian rupee", money("₹")),
    **table("jpy|¥|yen|cny", money("¥")),
    **table("cad|ca$|a$|aud", money("$")),
    # dates
    **table("as of|asof|as of now", as_of),
    **table(
        "birth date|birth-date|bda|birth date and age|birthdate|dob|death date|death-date|death date and age|dda", date
    ),
    **table(
        "start date|start date and age|start-date|end date|end-date|film date|release date|date|dts|startdate", date
    ),
    **table("birth year and age|death year and age|birth year|start year|年", argument(1)),
    **table("circa|c.|ca.|ca|circ.", circa),
    **table("floruit|fl.|fl", spaced("fl.", "–")),
    **table("reign|r.", spaced("r.", "–")),
    **table("born|b.", spaced("b.")),
    **table("died|d.", spaced("d.")),
    **table("marriage", argument(1)),
    **table("oldstyledate|old style date|os", listing(" ")),
    **table("year article|decade link|century link|years", argument(1)),
    # languages
    **table("lang|lang2|native name|native phrase|langue|rtl-lang|wikt-lang|lang-x|外语|外語", last),
    **table("en|la", last),  # of the Japanese wiki; without arguments an icon elsewhere
    **table("langx", langx),
    **table("langwithname|rtl-langwithname|llang", named_language),
    **table("transl|transliteration|translit|tlit|xlit", last),
    **table("nihongo|nihongo2|nihongo3|nihongo4|nihongo foot|nihongo krt|日本語", nihongo),
    **table("zh|chinese|zh-cn|zh-hans|zh-hant|korean", chinese),
    **table("ipa|ipa2|api|phon|ipa-all|ipalink|ipa link|audio-ipa|vol.|vol", argument(1)),
    **table("angbr|angbr ipa|angle bracket|vr|orthography", enclosed("⟨", "⟩")),
    **table("ipaslink", enclosed("/", "/")),
    **table("ipablink", enclosed("[", "]")),
    **table("ipac-en|ipac-de|ipac-fr|ipac-pl|ipac-cmn|ipac-yue|ipac-es", ipac),
    **table("respell|pronunciation respelling|pron respell", respelled),
    **table(
        "linktext|unicode|script|script/arabic|script/hebrew|script/greek|bidi|jis2004フォント|jis2004|补助汉字", last
    ),
    **table("読み仮名|読み仮名 ruby不使用|ふりがな|ruby|ruby-zh-p|ruby-ja|振り仮名", reading),
    # links
    **table(
        "ill|illm|ill2|interlanguage link|interlanguage link multi|ilq|仮リンク|内部リンク|internal link helper",
        interwiki,
    ),
    **table("le|lj|ld|lf|lk|llr|internal link helper/en|ill-wd|ill-wd2", argument(3, "lt", 1)),
    **table("tsl|translink|link translation|translation link|多语言链接", argument(4, 3, 2)),
    **{name: spaced(name.upper()) for name in ("isbn", "issn", "oclc", "lccn", "asin")},
    **table("url|official url", argument(2, 1)),
    **table("w|wp|wikilink|link|vanchor|visible anchor|anchord|annotated link|see", argument(2, 1)),
    **table("flag|flagcountry|flagu|flag country|country|國旗|国旗|flagg", argument(1)),
    **table("mvar|math|bigmath|var|varserif|tmath", argument(1)),
    **table("uss", ship("USS")),
    **table("ss", ship("SS")),
    **table("ship|rms|mv", lambda arguments, page: " ".join(arguments.all()[:2])),
    # wording
    **table(
        "nowrap|nobr|nobreak|no wrap|nwr|no break|inline-block|inlineblock|no col break|nbr|nowrapped|j", argument(1)
    ),
    **table("nobold|keypress|eqm|key top", argument(1)),
    **table("small|smaller|large|larger|big|midsize|resize|fontsize|font size|huge|center|centre|big center", last),
    **table("abbr|abbrv|tooltip|abbreviation|tt|define|h:title|finedetail", argument(1)),
    **table("sic|typo|not a typo|as written|notatypo|proper name|nat|chem name", verbatim),
    **table("color|colour|fontcolor|font color|color box|colored text", last),
    **table(
        "em|strong|strongbad|smallcaps|sc|sc2|caps|allcaps|smallcaps all|emphasis|underline|u|bold|italic|i|samp|code",
        argument(1),
    ),
    **table(
        "mono|monospace|codett|key press|key|pre2|crossref|smallsup|big2|noitalic|normal|no italic|italics correction",
        argument(1),
    ),
    **table("bibleref|bibleref2|bibleverse|bible verse", lambda a, page: " ".join(a.all()[:2])),
    **table(
        "citation needed span|citation-needed span|要出典範囲|いつ範囲|独自研究範囲|fact span|clarify span|text",
        argument(1, "text"),
    ),
    **table(
        "quote|blockquote|quotation|cquote|quote box|quotebox|rquote|bq|pull quote|centered pull quote|long quote",
        block(1, "text", "quote"),
    ),
    **table("poemquote|poem quote|verse translation|引用|引用文|quotation2|cquotetxt", block(1, "text")),
    **table("hlist|hlist-comma|flatlist|plainlist hlist|cslist|comma separated entries", listing(", ")),
    **table("unbulleted list|ubl|ublist|plainlist|bulleted list|blist|bulletlist|olist|ordered list|ol", listing("\n")),
    **table("angbr ipa2|as written2", argument(1)),
    **table("née|nee|born as", spaced("née")),
    **table("lit|literally|lit.", lambda arguments, page: f"lit. '{arguments.get(1)}'" if arguments.get(1) else "lit."),
    **table("gloss|single quotes", lambda arguments, page: f"'{arguments.get(1)}'" if arguments.get(1) else ""),
    **table("music", note),
    # punctuation
    **table("'|apostrophe", constant("'")),
    **table("'s", constant("'s")),
    **table("' \"", constant("' \"")),
    **table("\" '|'\"", constant("\" '")),
    **table('-"|"\'', constant("\"'")),
    **table("snd|spaced ndash|snds|spnd|sndash|spndash|spaced en dash", constant(" – ")),
    **table("–|ndash|en dash|endash", constant("–")),
    **table("—|mdash|em dash|emdash|mdashb", constant("—")),
    **table("spaced mdash|snmd", constant(" — ")),
    **table("nbsp|nbs|figure space|space|spaces|thinsp|thin space|hair space|hsp|0|,|sp", constant(" ")),
    **table("·|dot|middot|•|bull|bullet|pipe", constant(" · ")),
    **table("=|equals", constant("=")),
    **table("!|!!", constant("|")),
    **table("ellipsis|...", constant("...")),
    **table("extinct|dagger|†", constant("†")),
    **table("increase|up", constant("▲")),
    **table("decrease|down", constant("▼")),
    **table("no.|numero|№|no", constant("No.")),
    # magic words
    **table("pagename|fullpagename|basepagename|subpagename|title", lambda arguments, page: page.title),
}
"""Lower-case template name to what it shows."""

FUNCTIONS: dict[str, Function] = {
    "lc": lambda text, arguments: text.lower(),
    "uc": lambda text, arguments: text.upper(),
    "ucfirst": lambda text, arguments: text[:1].upper() + text[1:],
    "lcfirst": lambda text, arguments: text[:1].lower() + text[1:],
    "formatnum": lambda text, arguments: grouped(text),
    "plural": lambda text, arguments: arguments.get(1) if text == "1" else arguments.get(2, 1),
}
"""Parser functions, {{name:text|arguments}}."""
