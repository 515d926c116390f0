"""The templates that readers see on wikis other than the English one, by language; wikitext_table.py has the rest.

A name stands here where it is that wiki's own, or means something else there than on other wikis: {{cita}} is a
quotation in Spanish and a reference in Italian.
"""

import re

from lmpipe.sources.wikitext_dates import date
from lmpipe.sources.wikitext_marks import HOLE
from lmpipe.sources.wikitext_names import pairs
from lmpipe.sources.wikitext_templates import (
    Arguments,
    Page,
    Template,
    argument,
    block,
    chemistry,
    constant,
    coordinates,
    enclosed,
    interwiki,
    labelled,
    last,
    localized,
    money,
    nihongo,
    quoted,
    raised,
    reading,
    spaced,
    suffixed,
    table,
)

ORDINAL = re.compile(r"(\d{1,3}|[ivxlc]+)(er|re|e|es|d|de|nd|nde)")
"""{{3e}}, {{1re}}, {{XIVe}} of the French wiki."""
ITALIAN_UNO = re.compile(r"z|s[^aeiou]|gn|ps|pn|x|y")
"""Beginnings of words that take "uno"."""
VOWELS = tuple("aeiouàèéìòù")


def hidden(arguments: Arguments, page: Page) -> str:
    """Show nothing, and lose nothing."""
    return HOLE


def country(names: str) -> dict[str, Template]:
    """Make templates that show a flag and a name, such as {{JPN}}."""
    return {code.lower(): constant(name) for code, name in pairs(names).items()}


def millennium(era: str) -> Template:
    """Make a template that shows {{m|II|e}} as "IIe millénaire", with an era behind."""
    return lambda arguments, page: "".join(arguments.all()[:2]) + " millénaire" + era


def centuries(era: str) -> Template:
    """Make a template that shows {{sp|XIX|e|au|XX|e}} as "XIXe au XXe siècle", with an era behind."""

    def show(arguments: Arguments, page: Page) -> str:
        texts = arguments.all()
        words = [first + second for first, second in zip(texts[::3], [*texts[1::3], ""], strict=False)]
        between = f" {texts[2]} " if len(texts) > 4 else ""
        return between.join(words[:2]) + " siècle" + era if texts else ""

    return show


def two_centuries(arguments: Arguments, page: Page) -> str:
    """Show {{s2|XIX|e|XX|e}} as "XIXe et XXe siècles"."""
    texts = arguments.all()
    return " et ".join(map("".join, zip(texts[::2], texts[1::2], strict=False))) + " siècles" if texts else ""


def german_coordinates(arguments: Arguments, page: Page) -> str:
    """Show {{Coordinate|text=DMS|NS=52/31/N|EW=13/24/E}}; without `text` it stands beside the title."""
    if not arguments.get("text"):
        return HOLE
    return coordinates(Arguments([*arguments.get("NS").split("/"), *arguments.get("EW").split("/")], {}), page)


def old_russian_style(arguments: Arguments, page: Page) -> str:
    """Show {{OldStyleDate|7 мая|1840|25 апреля}} as "25 апреля [7 мая] 1840"."""
    new, year, old = (arguments.get(key) for key in (1, 2, 3))
    return " ".join(text for text in (old, f"[{new}]" if old else new, year) if text)


def measured(arguments: Arguments, page: Page) -> str:
    """Show {{M|1234|u=km}} or {{M|1234||km}} as "1 234 km"."""
    return f"{localized(arguments.get(1), page)} {arguments.get('u', 'ul', 3)}".strip()


def biography(arguments: Arguments, page: Page) -> str:
    """Show {{Bio|Nome=...|Attività=...}}, the first sentence of every Italian biography."""
    name = " ".join(text for key in ("Titolo", "Nome", "Cognome") if (text := arguments.get(key)))
    name += ", " + arguments.get("PostCognome") if arguments.get("PostCognome") else ""
    born, died = lived(arguments, "Nascita"), lived(arguments, "Morte")
    dates = " – ".join(text for text in (born, died) if text)
    first = f"{name} ({dates})" if dates else name
    if end := arguments.get("FineIncipit"):
        return f"{first} {end}" + ("" if end.endswith(".") else ".")
    jobs = [text for key in ("Attività", "Attività2", "Attività3") if (text := arguments.get(key))]
    if not jobs:
        return first + "."
    is_woman = arguments.get("Sesso").upper() == "F"
    other = arguments.get("AttivitàAltre")
    listed = ", ".join(jobs) if other or len(jobs) == 1 else ", ".join(jobs[:-1]) + " e " + jobs[-1]
    listed += ("" if other.startswith((",", ";")) else " ") + other if other else ""
    verb = ("è stata" if is_woman else "è stato") if died else "è"
    nation = " ".join(text for key in ("Nazionalità", "PostNazionalità") if (text := arguments.get(key)))
    return f"{first} {verb} {indefinite(listed, is_woman)}{listed} {nation}".replace(" ,", ",").rstrip() + "."


def lived(arguments: Arguments, what: str) -> str:
    """Write where and when a person was born or died."""
    day = " ".join(text for key in ("GiornoMese", "Anno") if (text := arguments.get(key + what)))
    return ", ".join(text for text in (arguments.get("Luogo" + what), day) if text)


def indefinite(noun: str, is_feminine: bool) -> str:
    """Return the Italian article of a noun, with what parts them."""
    first = noun.lower()
    if is_feminine:
        return "un'" if first.startswith(VOWELS) else "una "
    return "uno " if ITALIAN_UNO.match(first) else "un "


def bible(separator: str) -> Template:
    """Make a template that shows {{Bibel|Mt|5|3}} as "Mt 5,3"."""
    return lambda arguments, page: f"{arguments.get(1)} {separator.join(arguments.all()[1:3])}".strip()


def century_of(word: str) -> Template:
    """Make a template that shows {{séc|XX}} as "século XX"."""
    return lambda arguments, page: f"{word} {arguments.get(1)}" if arguments.get(1) else ""


def own_language(arguments: Arguments, page: Page) -> str:
    """Show {{llang|en|word}} with the name of the language."""
    return labelled(arguments.get(1), arguments.get(2), page)


GERMAN = {
    **table("lautschrift|zahl|anführung|kursiv|fett|sperrsatz|kapitälchen|okina-text", argument(1)),
    **table('"|anführungszeichen', quoted),
    **table("coordinate", german_coordinates),
    **table("eur|euro", suffixed(" Euro")),
    **table("usd|us$", suffixed(" US-Dollar")),
    **table("chf", suffixed(" Franken")),
    **table("gbp", suffixed(" Pfund")),
    **table("bibel|bb", bible(",")),
    **table("datum", date),
    **table("jh|jahrhundert", suffixed(". Jahrhundert")),
    **country(
        "DEU=Deutschland|AUT=Österreich|CHE=Schweiz|FRA=Frankreich|ITA=Italien|ESP=Spanien|GBR=Vereinigtes Königreich|"
        "USA=Vereinigte Staaten|POL=Polen|NLD=Niederlande|BEL=Belgien|RUS=Russland|JPN=Japan|CHN=China|SWE=Schweden"
    ),
}
FRENCH = {
    **table(
        "refnec|référence nécessaire|référence souhaitée|refsou|référence insuffisante|refins|précision nécessaire"
        "|précision|lequel|laquelle|lesquels|quand|qui|pas clair|évasif|passage promotionnel|passage non neutre"
        "|non neutre|à sourcer|pertinence|c'est-à-dire|pourquoi|comment|interprétation personnelle|travail inédit"
        "|style|détail",
        argument(1),
    ),
    **table("langue|citation étrangère|citation en langue étrangère|romaji|langue sans italique", last),
    **table("prononciation|msapi|phonétique|api'|h-", argument(1)),
    **table("nobr romains|rom-maj|romain|romains|rom|souverain|souverain2|souverain3|souverain-", argument(1)),
    **table("petit|grand|taille|souligner|surligner|abréviation|abr|terme défini|terme|ancre texte|texte", argument(1)),
    **table("guil|\"", quoted),
    **table("exp|e", lambda arguments, page: raised(arguments.get(1)) or "e"),
    **table("ind", argument(1)),
    **table("x10", lambda arguments, page: "×10" + raised(arguments.get(1))),
    **table("fchim|formule chimique", chemistry),
    **table("durée", lambda a, page: " ".join(t + u for t, u in zip(a.all(), (" h", " min", " s"), strict=False))),
    **table("p.|pp.", spaced("p.")),
    **table("vol.", spaced("vol.")),
    **table("t.", spaced("t.")),
    **table("chap.", spaced("chap.")),
    **table("art.", spaced("art.")),
    **table("mlle", spaced("Mlle")),
    **table("mgr", spaced("Mgr")),
    **table("dr", spaced("Dr")),
    **table("pr", spaced("Pr")),
    **table("m.", spaced("M.")),
    **table("mme", spaced("Mme")),
    **table("st", spaced("St")),
    **table("ste", spaced("Ste")),
    **table("cie", constant("Cie")),
    **table("sp|sp-", centuries("")),
    **table("s2|s2-", two_centuries),
    **table("sav|s av jc|-s|-s-|sav-", centuries(" av. J.-C.")),
    **table("-sp|-sp-", centuries(" av. J.-C.")),
    **table("m-|m|millénaire", millennium("")),
    **table("-m|-m-", millennium(" av. J.-C.")),
    **table("av jc|avjc|-jc|av. j.-c.", lambda a, page: f"{a.get(1)} av. J.-C.".strip()),
    **table("ap jc|apjc|apr. j.-c.", lambda a, page: f"{a.get(1)} apr. J.-C.".strip()),
    **{name.lower(): constant(name) for name in (
        "France", "Allemagne", "Italie", "Espagne", "Portugal", "Royaume-Uni", "Angleterre", "Écosse", "Irlande",
        "Belgique", "Suisse", "Pays-Bas", "Autriche", "États-Unis", "Canada", "Québec", "Japon", "Chine", "Russie",
        "Pologne", "Brésil", "Argentine", "Mexique", "Maroc", "Algérie", "Tunisie", "Sénégal", "Grèce", "Turquie",
        "Roumanie", "Suède", "Norvège", "Danemark", "Finlande", "Australie", "Inde",
    )},
}  # fmt: skip
SPANISH = {
    **table("versalita|esd|subrayado|cita requerida texto|abreviatura", argument(1)),
    **table("afi", enclosed("[", "]")),
    **table("cita|quote|cita bloque", block(1, "texto")),
    **table("s.", century_of("siglo")),
    **table("n.º|n.°", spaced("n.º")),
    **table("bandera2|pais|país", argument(1)),
    **table("fecha de inicio|fecha de fallecimiento|fecha de defunción", date),
    **country(
        "ESP=España|MEX=México|ARG=Argentina|COL=Colombia|CHL=Chile|PER=Perú|VEN=Venezuela|USA=Estados Unidos|"
        "FRA=Francia|ITA=Italia|DEU=Alemania|GBR=Reino Unido|BRA=Brasil|URU=Uruguay|POR=Portugal"
    ),
}
ITALIAN = {
    **table("bio", biography),
    **table("cita|cita libro|cita web|lingue|bandiera", hidden),
    **table(
        "citazione necessaria|senza fonte|chiarire|cn|quando|chi|dove|dubbio|non chiaro|punto di vista", argument(1)
    ),
    **table("citazione|quote", block(1)),
    **table("m", measured),
    **table("afi|ipa", argument(1)),
    **table("ac", constant("a.C.")),
    **table("dc", constant("d.C.")),
    **country(
        "ITA=Italia|FRA=Francia|DEU=Germania|ESP=Spagna|GBR=Regno Unito|USA=Stati Uniti|CHE=Svizzera|AUT=Austria"
    ),
}
PORTUGUESE = {
    **table("séc|século|sec", century_of("século")),
    **table("dtlink|dni|nascimento|morte|falecimento|data|dnibr|data de nascimento", date),
    **table("fmtn", lambda arguments, page: localized(arguments.get(1), page)),
    **table("citação|citar|quote1|quote2|citação2", block(1)),
    **table("carece de fontes2|esclarecer2|quem2", argument(1)),
    **table("afi", argument(1)),
    **table("r$|brl", lambda arguments, page: f"R$ {arguments.get(1)}"),
    **table("dc|d.c.", constant("d.C.")),
    **table("ac|a.c.", constant("a.C.")),
    **country(
        "BRA=Brasil|POR=Portugal|PRT=Portugal|USA=Estados Unidos|FRA=França|ITA=Itália|ESP=Espanha|ALE=Alemanha|"
        "DEU=Alemanha|GBR=Reino Unido|ARG=Argentina|ANG=Angola|MOZ=Moçambique"
    ),
}
DUTCH = {
    **table("bron?|feit|citaat nodig|sic?|wie?|wanneer?", argument(1)),
    **table("citaat|quote", block(1)),
    **table("afkorting|vet|cursief|klein", argument(1)),
}
POLISH = {
    **table("cytat|cytat2|cytat blok", block(1, "treść")),
    **table("liczba|nowrap", argument(1)),
    **table("data", date),
    **table("państwo|flaga państwa", argument(1)),
    **table("ang.|niem.|fr.|łac.|ros.|wł.|hiszp.", argument(1)),
}
RUSSIAN = {
    **table("langi|lang2", last),
    **table(
        "comment|комментарий|удар|ударение|s|нобр|nobr|подсказка|подсветка|флагификация|флагификация2", argument(1)
    ),
    **table("нет аи 2|нет аи-2|уточнить 2|нет аи2", argument(1)),
    **table('"|«|кавычки', quoted),
    **table("цитата|quote|крупная цитата", block(1, "текст", "Цитата")),
    **table(
        "не переведено 2|не переведено 3|не переведено 4|нет статьи|iw2|не переведено2", argument(2, "текст", "есть", 1)
    ),
    **table("oldstyledate", old_russian_style),
    **table("библия", bible(":")),
    **table("год|век", argument(1)),
    **table("н. э.|н.э.|нэ", constant("н. э.")),
    **table("до н. э.|до н.э.|до нэ", constant("до н. э.")),
}
KOREAN = {
    **table("llang|llang2|언어", own_language),
    **table("국기|국기나라|국기그림과 이름|나라", argument(1)),
    **table("인용문|인용구|큰인용문|인용 상자", block(1, "인용문")),
    **table("루비|윗주|한자 병기", reading),
    **table("일본어", nihongo),
    **table("임시링크|링크|번역 링크", interwiki),
    **table("출생일과 나이|사망일과 나이|출생일|사망일|시작일|날짜", date),
    **table("한글|한자|본관|lang", last),
    **country(
        "KOR=대한민국|JPN=일본|CHN=중국|USA=미국|GBR=영국|FRA=프랑스|DEU=독일|RUS=러시아|ITA=이탈리아|ESP=스페인"
    ),
}
JAPANESE = {
    **table("圏点|傍点", argument("文章", 1)),
    **table("下線|取消線|縦書き|太字|斜体|小さな文字|日本語版にない記事リンク|要検証範囲2|改行禁止", argument(1)),
    **table("補助漢字フォント|拡張漢字|cp932フォント|jis90フォント|jis2004フォント2|外字|機種依存文字", last),
    **table("日付|開始日|終了日|放送開始日", date),
    **country(
        "JPN=日本|USA=アメリカ合衆国|GBR=イギリス|FRA=フランス|DEU=ドイツ|ITA=イタリア|ESP=スペイン|RUS=ロシア|CHN=中国|"
        "PRC=中国|KOR=韓国|ROC=台湾|TWN=台湾|CAN=カナダ|AUS=オーストラリア|BRA=ブラジル|NLD=オランダ|NED=オランダ"
    ),
}
CHINESE = {
    **table("僻字|kai|zy|生僻字|楷体|標楷體|黑体", argument(1)),
    **table("link|ilh|internal link", argument(3, 1)),
    **table("拼音|注音|粵拼|漢語拼音", last),
    **table("cny|rmb|人民币|人民幣", money("¥")),
    **table("ntd|nt$|twd|新臺幣|新台幣", money("NT$")),
    **table("引言|引文|quote box2|诗歌", block(1)),
    **country(
        "CHN=中国|PRC=中华人民共和国|ROC=中華民國|TWN=臺灣|HKG=香港|MAC=澳門|JPN=日本|USA=美国|GBR=英国|FRA=法国|DEU=德国|"
        "RUS=俄罗斯|KOR=韩国|ITA=意大利|ESP=西班牙|CAN=加拿大|AUS=澳大利亚|SGP=新加坡|MYS=马来西亚"
    ),
}
ARMENIAN = table("հուլյան տոմար|չթարգմանված|չթարգմանված 5|փչլ", argument(1))

LOCAL: dict[str, dict[str, Template]] = {
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "nl": DUTCH,
    "pl": POLISH,
    "ru": RUSSIAN,
    "ko": KOREAN,
    "ja": JAPANESE,
    "zh": CHINESE,
    "hy": ARMENIAN,
}
"""Language of the wiki to lower-case template name to what it shows there."""


def local_family(name: str, lang: str) -> Template | None:
    """Find a wiki's own template by the form of its name: {{3e}}, {{Zitat-en|...}}."""
    if lang == "fr" and ORDINAL.fullmatch(name):
        return constant(name if name[0].isdigit() else re.sub("[ivxlc]+", lambda m: m[0].upper(), name, count=1))
    if lang == "de" and name.startswith(("zitat-", '"-')):
        return lambda arguments, page: f"„{arguments.get(1, 'Text')}“" if arguments.get(1, "Text") else ""
    return None
