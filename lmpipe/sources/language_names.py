"""What the headers and catalogues of books call a language, in its own words and in others', and its code.

Project Gutenberg writes the English name, its volunteers at times their own, EPUBs a tag such as en-GB or an older
code of three letters. Documents carry the code of two letters (three where there is none), as the stop words do.
"""

import re

NAMES = """
af: afrikaans | afr
ar: arabic, العربية | ara
ast: asturian
bg: bulgarian, български | bul
br: breton | bre
ca: catalan, català, katalanisch | cat
ceb: cebuano
cs: czech, čeština, česky, tschechisch | cze ces
cy: welsh, cymraeg | wel cym
da: danish, dansk, dänisch, danois, deens | dan
de: german, deutsch, allemand, duits, alemán, tedesco, tysk, saksa | ger deu
el: greek, ancient greek, ελληνικά, griechisch, grec, grieks | gre ell grc
en: english, middle english, old english, englisch, anglais, engels, inglés, inglese, engelsk, englanti | eng enm ang
eo: esperanto | epo
es: spanish, castilian, español, castellano, spanisch, espagnol, spaans, spagnolo, espanja | spa
et: estonian, eesti | est
eu: basque, euskara | baq eus
fa: persian, farsi, فارسی | per fas
fi: finnish, suomi, finnisch, finnois, fins, finska | fin
fr: french, français, francais, französisch, frans, francés, francese, fransk, ranska | fre fra frm fro
fur: friulian
fy: frisian, western frisian, frysk, fries | fry
ga: irish, gaeilge | gle
gd: scottish gaelic, gaelic, gàidhlig | gla
gl: galician, galego | glg
he: hebrew, עברית, hebräisch, hébreu | heb
hi: hindi, हिन्दी | hin
hu: hungarian, magyar, ungarisch, hongrois | hun
ia: interlingua | ina
is: icelandic, íslenska | ice isl
it: italian, italiano, italienisch, italien, italiaans, italia | ita
ja: japanese, 日本語, 日文, japanisch, japonais | jpn
ko: korean, 한국어 | kor
la: latin, latina, lateinisch, latijn, latino | lat
lt: lithuanian, lietuvių | lit
mi: maori, māori | mao mri
nah: nahuatl
nl: dutch, flemish, nederlands, niederländisch, néerlandais, holandés, olandese, hollanti | dut nld
no: norwegian, norsk, bokmål, norwegisch, norvégien | nor nob
oc: occitan, provençal | oci
oj: ojibwa, ojibwe | oji
pl: polish, polski, polnisch, polonais | pol
pt: portuguese, português, portugiesisch, portugais, portugees, portugués | por
ro: romanian, română, rumänisch | rum ron
ru: russian, русский, russisch, russe, ruso, russo | rus
sa: sanskrit | san
sk: slovak, slovenčina | slo slk
sl: slovenian, slovene, slovenščina | slv
sr: serbian, српски, srpski | srp
sv: swedish, svenska, schwedisch, suédois, zweeds, ruotsi | swe
te: telugu | tel
tl: tagalog, filipino | tgl
tr: turkish, türkçe | tur
uk: ukrainian, українська | ukr
vi: vietnamese, tiếng việt | vie
yi: yiddish, ייִדיש | yid
zh: chinese, mandarin, 中文, 汉语, 漢語, 华语, 華語, chinesisch, chinois, chinees, chino, cinese | chi zho cmn
"""
"""Code: names | older codes."""

TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8})*")


def codes() -> dict[str, str]:
    """Invert the table: every name and older code to its code."""
    found: dict[str, str] = {}
    for line in NAMES.strip().splitlines():
        code, _, rest = line.partition(": ")
        names, _, older = rest.partition(" | ")
        found |= dict.fromkeys([code, *names.split(", "), *older.split()], code)
    return found


CODES = codes()


def language_code(name: str) -> str:
    """Return the code of a language by any of its names or tags; of several the first; "" for one not known.

    A well-formed tag that the table lacks stays (its first part); und and mul say nothing.
    """
    first = re.split(r"[,;/&()\[]|\.$| and | with ", name.strip().lower())[0].strip()
    if first in CODES:
        return CODES[first]
    if not TAG.fullmatch(first) or first in ("und", "mul", "mis", "zxx"):
        return ""
    code = re.split("[-_]", first)[0]
    return CODES.get(code, code)
