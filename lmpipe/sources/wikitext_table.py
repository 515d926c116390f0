"""Which templates of an article are shown, and how: the list of all that lmpipe keeps.

A template that is not here is dropped: infoboxes, citations, navigation boxes, notes for editors.
"""

import re
from functools import lru_cache

from lmpipe.sources.wikitext_dates import age, as_of, century, date, death, death_and_age, lifetime, old_style
from lmpipe.sources.wikitext_functions import FUNCTIONS
from lmpipe.sources.wikitext_furniture import is_furniture
from lmpipe.sources.wikitext_local import LOCAL, local_family
from lmpipe.sources.wikitext_marks import HOLE, LOST
from lmpipe.sources.wikitext_names import LANGUAGES
from lmpipe.sources.wikitext_templates import (
    Page,
    Template,
    argument,
    block,
    chemistry,
    chinese,
    circa,
    columns,
    constant,
    coordinates,
    density,
    enclosed,
    etymology,
    frac,
    french_unit,
    harvard,
    hours,
    interwiki,
    ipac,
    isotope,
    korean,
    labelled,
    lang,
    lang_of,
    langx,
    last,
    listing,
    localized,
    marriage,
    money,
    named_language,
    nihongo,
    note,
    parse,
    quoted,
    raised,
    reading,
    respelled,
    ship,
    spaced,
    suffixed,
    table,
    us_code,
    val,
    verbatim,
)
from lmpipe.sources.wikitext_units import convert, number

FRENCH_CENTURY = re.compile(r"([ivxlc]+)(er|e)(?: s)?( siècles?(?: (?:av|ap)\. j\.-c\.)?)?")
"""{{XIXe siècle}}."""

MAX_NAME = 100
"""Characters of a template's name that may be known, also a bound on what is remembered."""


def expand(parts: list[str], page: Page) -> str:
    """Say what {{name|...}} shows; HOLE or LOST for a template that shows nothing here."""
    template = find(parts[0], page)
    if template is not None:
        arguments = parse(parts[1:])
        return template(arguments, page) or (LOST if arguments.all() else HOLE)
    head, colon, first = parts[0].strip().partition(":")
    function = FUNCTIONS.get(head.lower()) if colon else None
    return (function(first.strip(), parts[1:], page) or HOLE) if function else loss(parts)


def is_shown(name: str, page: Page) -> bool:
    """Tell whether a template may show anything."""
    return find(name, page) is not None or name.strip().partition(":")[0].lower() in FUNCTIONS


def loss(parts: list[str]) -> str:
    """Say whether dropping a template loses what a reader sees; one without arguments is taken for furniture."""
    return LOST if len(parts) > 1 and not is_furniture(parts[0][:MAX_NAME]) else HOLE


def find(name: str, page: Page) -> Template | None:
    """Find a template by its name as written; what is longer than a name is none."""
    return found(name, page.lang) if len(name) <= MAX_NAME else None


@lru_cache(maxsize=4096)
def found(name: str, lang: str) -> Template | None:
    """Find a template by its name, the wiki's own first; remembered, for an article names the same few again."""
    name = " ".join(name.replace("_", " ").split()).lower()
    name = name.removeprefix("template:").removeprefix("subst:")
    own = LOCAL.get(lang, {}).get(name) or local_family(name, lang)
    return own or TEMPLATES.get(name) or family(name)


def family(name: str) -> Template | None:
    """Find a template by the beginning of its name: lang-de, ipa-fr, link-en."""
    if name.endswith("範囲"):  # Japanese notes for editors that enclose the text they are about
        return argument(1, "text")
    if name.startswith("script/"):
        return last
    if century := FRENCH_CENTURY.fullmatch(name):
        return constant(century[1].upper() + century[2] + (century[3] or "").replace("j.-c.", "J.-C."))
    if name.endswith("s") and name[:-1] in LANGUAGES["de"]:  # {{enS|word}} of the German wiki
        return lambda arguments, page: labelled(name[:-1], arguments.get(1), page) if page.lang == "de" else HOLE
    head, dash, code = name.partition("-")
    if not dash:
        return None
    if head == "lang" and len(code) > 1:
        return lang_of(code)
    if head in ("vol", "val") and 2 <= len(code) <= 8:  # {{lang-xx}} of the Latgalian and Latvian wikis
        return lambda arguments, page: labelled(code, arguments.get(1, "text"), page)
    if head in ("ipa", "ipac") and len(code) >= 2:
        return lambda arguments, page: f"[{arguments.get(1)}]" if arguments.get(1) else ""
    return argument(3, 1) if head == "link" else None


TEMPLATES = {
    # quantities
    **table("convert|conv|convertir", lambda a, page: convert(a.positional, a.named, page.lang)),
    **table("cvt", lambda a, page: convert(a.positional, {"abbr": "on"} | a.named, page.lang)),
    **table("val|num|gaps|nts|ntsh", val),
    **table("frac|fraction|sfrac|frac2|vfrac|bruch|分数|分數|분수", frac),
    **table("formatnum|format price|formatprice|число", lambda arguments, page: localized(arguments.get(1), page)),
    **table("e|e-sp|10^|esp", lambda a, page: "×10" + raised(a.get(1)) if a.get(1) else "e"),  # French {{e}}: XIXe
    **table("su", lambda arguments, page: arguments.get("p", 1) + arguments.get("b", 2)),
    **table("sup|superscript", lambda arguments, page: raised(arguments.get(1))),
    **table("sub|subscript", argument(1)),
    **table("chem|chem2|ce", chemistry),
    **table("nuclide|nuclide2|simplenuclide|simplenuclide2|isotope", isotope),
    **table("ra", hours),
    **table("railgauge|track gauge", argument(1)),
    **table("unité|unité/2|nombre|nb|unidad|unità|număr", french_unit),
    **table("solar mass", suffixed(" M☉")),
    **table("solar luminosity", suffixed(" L☉")),
    **table("solar radius", suffixed(" R☉")),
    **table("höhe", suffixed(" m")),
    **table("км", suffixed(" км")),
    **table("м", suffixed(" м")),
    **table("§|§§", spaced("§")),
    **table("inrconvert|₹", money("₹")),
    **table("coord|coor d|coor dm|coor dms", coordinates),
    **table("sqrt|radic|radical", lambda arguments, page: "√" + arguments.get(1)),
    **table("abs", enclosed("|", "|")),
    **table("floor", enclosed("⌊", "⌋")),
    **table("ceil", enclosed("⌈", "⌉")),
    **table("ket", enclosed("|", "⟩")),
    **table("bra", enclosed("⟨", "|")),
    **table("closed-closed", enclosed("[", "]")),
    **table("closed-open", enclosed("[", ")")),
    **table("open-closed", enclosed("(", "]")),
    **table("open-open", enclosed("(", ")")),
    **table("unichar", lambda arguments, page: "U+" + " ".join(arguments.all()[:2])),
    **table("ietf rfc|rfc", spaced("RFC")),
    **table("us patent", spaced("U.S. Patent")),
    **table("n°|numéro|no|nº", spaced("no", " ")),
    **table("us$|usd", money("$")),
    **table("gbp|pound sterling|£", money("£")),
    **table("euro|€|eur", money("€")),
    **table("inr|indian rupee", money("₹")),
    **table("jpy|¥|yen|cny", money("¥")),
    **table("cad|ca$|a$|aud", money("$")),
    # dates
    **table("as of|asof|as of now", as_of),
    **table("birth date|birth-date|bda|birth date and age|birthdate|dob|death date|death-date", date),
    **table(
        "start date|start date and age|start-date|end date|end-date|film date|release date|date|dts|startdate", date
    ),
    **table("生年月日と年齢|дата|生年月日|출생일|geboren|birth-date and age|fecha|fecha de nacimiento", date),
    **table("death date and age|dda|death-date and age", death_and_age),
    **table("没年齢|死亡年月日と没年齢|没年月日", death),
    **table("bd|生卒", lifetime),
    **table("date-|date de naissance|date de décès|date de naissance-|jour", listing(" ")),
    **table("s-|s|siècle|s mini|siglo", century),
    **table("age|age in years|age in years, months and days", age),
    **table("heure", lambda arguments, page: " h ".join(arguments.all()[:2])),
    **table("oldstyledateny|oldstyledatedy", old_style),
    **table("約|约|約數", lambda arguments, page: "约" + arguments.get(1)),
    **table("birth year and age|death year and age|birth year|start year|年", argument(1)),
    **table("circa|c.|ca.|ca|circ.", circa),
    **table("floruit|fl.|fl", spaced("fl.", "–")),
    **table("reign|r.", spaced("r.", "–")),
    **table("born|b.", spaced("b.")),
    **table("died|d.", spaced("d.")),
    **table("marriage|married", marriage),
    **table("oldstyledate|old style date|os", listing(" ")),
    **table("year article|decade link|century link|years", argument(1)),
    # languages
    **table("lang|lang2|native name|native phrase|langue|rtl-lang|wikt-lang|lang-x|外语|外語", lang),
    # of the Japanese wiki; without arguments an icon elsewhere
    **table(
        "en|la|de|fr|es|it|pt|ru|el|nl|ko|ar|he|fa|sv|da|fi|pl|cs|hu|tr|uk|grc|sa|hi|th|vi|ja|ro|bg|sr|mn|fro", last
    ),
    **table(
        "polytonisch|arf|hebf|lang2|coptic|greek|hebrew|nastaliq|iast|pinyin|bopomofo|zhuyin|ピン音|漢字|한자|hanja",
        last,
    ),
    **table("etymology", etymology),
    **table("langx", langx),
    **table("langwithname|rtl-langwithname|llang", named_language),
    **table("transl|transliteration|translit|tlit|xlit", last),
    **table("nihongo|nihongo2|nihongo3|nihongo4|nihongo foot|nihongo krt|日本語|նիհոնգո|japonais", nihongo),
    **table("zh|chinese|zh-cn|zh-hans|zh-hant", chinese),
    **table("korean|llang-ko", korean),
    **table("ipa|ipa1|ipa2|api|phon|ipa-all|ipalink|ipa link|audio-ipa|մհա|мфа", argument(1)),
    **table("angbr|angbr ipa|angle bracket|vr|orthography", enclosed("⟨", "⟩")),
    **table("ipaslink", enclosed("/", "/")),
    **table("ipablink", enclosed("[", "]")),
    **table("ipac-en|ipac-de|ipac-fr|ipac-pl|ipac-cmn|ipac-yue|ipac-es", ipac),
    **table("respell|pronunciation respelling|pron respell", respelled),
    **table(
        "linktext|unicode|script|script/arabic|script/hebrew|script/greek|bidi|jis2004フォント|jis2004|补助汉字", last
    ),
    **table("読み仮名|ルビ|読み仮名 ruby不使用|ふりがな|ruby|ruby-zh-p|ruby-ja|振り仮名", reading),
    # links
    **table(
        "pdflink|記号文字|読み|高線|下げ核|char|oeis link|see below|see above|crossreference|avoid wrap", argument(1)
    ),
    **table("lien", argument("texte", "fr", "trad", 1)),
    **table("нп|нп1|нп2|нп3|нп4|нп5|iw|не переведено|не переведено 5|interlang", argument(2, "текст", "есть", 1)),
    **table("section link|slink", lambda arguments, page: " § ".join(arguments.all()[:2])),
    **table("harvtxt|harvs", harvard),
    **table(
        "ill|illm|ill2|interlanguage link|interlanguage link multi|ilq|仮リンク|内部リンク|internal link helper",
        interwiki,
    ),
    **table("le|lj|ld|lf|lk|llr|internal link helper/en|ill-wd|ill-wd2", argument(3, "lt", 1)),
    **table("tsl|translink|link translation|translation link|多语言链接", argument(4, 3, 2)),
    **{name: spaced(name.upper()) for name in ("isbn", "issn", "oclc", "lccn", "asin")},
    **table("url|official url", argument(2, 1)),
    **table("w|wp|wikilink|link|vanchor|visible anchor|anchord|annotated link|see", argument(2, 1)),
    **table("flagathlete|flagioc|flagiocathlete|flagicon athlete|fb|fbw|cr|nft", argument(1)),
    **table("flag|flagcountry|flagu|flag country|country|國旗|国旗|flagg", argument(1)),
    **table("mvar|math|bigmath|var|varserif|tmath", argument(1)),
    **{name: ship(name.upper()) for name in ("uss", "ss", "hmas", "hmcs", "hmnzs", "rms", "mv", "sms", "usns")},
    **table("hms", lambda a, page: (hours if number(a.get(1)) is not None else ship("HMS"))(a, page)),
    **table("ship", lambda arguments, page: " ".join(arguments.all()[:2])),
    **table("sclass|sclass2|sclass-", lambda arguments, page: "-class ".join(arguments.all()[:2])),
    **table("mp|mpl|mpl-", lambda arguments, page: "".join(arguments.all())),
    # wording
    **table(
        "nowrap|nobr|nobreak|no wrap|nwr|no break|inline-block|inlineblock|no col break|nbr|nowrapped|j", argument(1)
    ),
    **table("key press|keypress|key|kbd", listing("+")),
    **table("nobold|key top", argument(1)),
    **table("small|smaller|large|larger|big|midsize|resize|fontsize|font size|huge|center|centre|big center", last),
    **table("abbr|abbrv|tooltip|abbreviation|tt|define|h:title|finedetail", argument(1)),
    **table("sic|typo|not a typo|as written|notatypo|proper name|nat|chem name", verbatim),
    **table("color|colour|fontcolor|font color|color box|colored text", last),
    **table(
        "em|strong|strongbad|smallcaps|sc|sc2|caps|allcaps|smallcaps all|emphasis|underline|u|bold|italic|i|samp|code",
        argument(1),
    ),
    **table(
        "mono|monospace|codett|pre2|crossref|smallsup|big2|noitalic|normal|no italic|italics correction",
        argument(1),
    ),
    **table("bibleref|bibleref2|bibleverse|bible verse", lambda a, page: " ".join(a.all()[:2])),
    **table(
        "citation needed span|citation-needed span|要出典範囲|いつ範囲|独自研究範囲|fact span|clarify span|text",
        argument(1, "text"),
    ),
    **table(
        "quote|blockquote|quotation|cquote|quote box|quotebox|bq|pull quote|centered pull quote|long quote",
        block(1, "text", "quote"),
    ),
    **table(
        "bquote|քաղվածք|zitat|citation bloc|cita|citazione|цитата|indent|block indent|blockindent|citation block",
        block(1, "text", "content"),
    ),
    **table("oq|rquote", block(2, 1)),
    **table('citation|"|«|guillemets', quoted),
    **table("term|defn|ghat", argument(1, "content", "term", "defn")),
    **table("columns-list|columns list|col-list|col list|表2列|columns", columns),
    **table("incise", enclosed("– ", " –")),
    **table("n/a|n.a.", constant("n/a")),
    **table("poemquote|poem quote|verse translation|引用|引用文|quotation2|cquotetxt", block(1, "text")),
    **table("hlist|hlist-comma|flatlist|plainlist hlist|cslist|comma separated entries", listing(", ")),
    **table("unbulleted list|ubl|ublist|plainlist|bulleted list|blist|bulletlist|olist|ordered list|ol", listing("\n")),
    **table("ul", listing("\n")),
    **table("angbr ipa2|as written2", argument(1)),
    **table("née|nee|born as", spaced("née")),
    **table("lit|literally|lit.", lambda arguments, page: f"lit. '{arguments.get(1)}'" if arguments.get(1) else "lit."),
    **table("gloss|single quotes", lambda arguments, page: f"'{arguments.get(1)}'" if arguments.get(1) else ""),
    **table("music", note),
    **table("overunderset|overset|underset|nastaliq|nq|ws|wikisource inline|played years", argument(1)),
    **table("vol.", spaced("vol.")),
    **table("pop density|population density", density),
    **table("dentalformula", lambda a, page: f"{a.get('upper', 1)} / {a.get('lower', 2)}"),
    **table("epc article", lambda a, page: f"Article {a.get(1)} EPC"),
    **table("epc rule", lambda a, page: f"Rule {a.get(1)} EPC"),
    **table("pct rule", lambda a, page: f"Rule {a.get(1)} PCT"),
    **table("epc 1973 rule", lambda a, page: f"Rule {a.get(1)} EPC 1973"),
    **table("uscsub|usc|usc2|合衆国法典", us_code),
    **table("qref|quran|cite quran", lambda a, page: "Quran " + ":".join(a.all()[:2])),
    **table("jupiter mass", suffixed(" MJ")),
    **table("earth mass", suffixed(" M🜨")),
    **table("post-nominals|postnominals|post nominals", listing(" ")),
    **table("dp|lcons|lvow|dwarf planet", argument(1)),
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
    **table("no.|numero|№", constant("No.")),
    **table("okina", constant("ʻ")),
    **table("ayin", constant("ʿ")),
    **table("hamza", constant("ʾ")),
    **table("pi", constant("π")),
    **table("±|pm|plusmn", constant("±")),
    **table("times", constant("×")),
    **table("minus", constant("−")),
    **table("av jc|-jc", constant("av. J.-C.")),
    **table("ap jc", constant("apr. J.-C.")),
    **{name: constant(name) for name in ("er", "re", "nd", "1er", "1re", "ier", "ire", "iie", "iiie", "ive", "xxe")},
    **table("m.|mm.", constant("M.")),
    **table("mme", constant("Mme")),
    **table("sitename", constant("Wikipedia")),
    **table("l4", constant("L4")),
    **table("l5", constant("L5")),
    # magic words
    **table("pagename|fullpagename|basepagename|subpagename|title", lambda arguments, page: page.title),
}
"""Lower-case template name to what it shows."""
