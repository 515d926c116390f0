"""What a reader sees of the templates that wikis have for themselves."""

import pytest

from lmpipe.sources import wikitext


def rendered(text: str, lang: str) -> str:
    return wikitext.render(text, variant="zh-hans", lang=lang, title="").text


@pytest.mark.parametrize(
    ("lang", "text", "shown"),
    [
        ("de", "so: {{Zitat-en|All ends well.<ref>x</ref>|Übersetzung=Alles wird gut.}}", "so: „All ends well.“"),
        ("de", "{{EUR|5}} {{jaS|東京}} {{Bibel|Mt|5|3}} {{DEU}}", "5 Euro japanisch 東京 Mt 5,3 Deutschland"),
        ("de", "bei {{Coordinate|text=DMS|NS=52/31/0/N|EW=13/24/0/E}}", "bei 52°31′0″N 13°24′0″E"),
        ("de", "A {{Coordinate|article=/|NS=52/31/0/N|EW=13/24/0/E}} B", "A B"),
        ("fr", "{{refnec|Il était [[a|là]]}}. {{3e}} et {{XIVe}}, {{Ier}}", "Il était là. 3e et XIVe, Ier"),
        (
            "fr",
            "{{sp|XIX|e|au|XX|e}}, {{s2|XIX|e|XX|e}}, {{-s|V|e}}, {{av JC|52}}",
            "XIXe au XXe siècle, XIXe et XXe siècles, Ve siècle av. J.-C., 52 av. J.-C.",
        ),
        ("fr", "{{unité|10|km|2}}, {{unité|5|m||s|-1}}, {{nombre|1234|pas}}", "10 km², 5 m s⁻¹, 1 234 pas"),
        ("fr", "{{lang-en|cat}} {{p.|23}} {{M.|Dupont}} {{France}}", "en anglais : cat p. 23 M. Dupont France"),
        ("es", "{{s.|XIX}} {{versalita|ab}} {{ESP}} {{AFI|a}}", "siglo XIX ab España [a]"),
        ("it", "{{citazione necessaria|Così è|motivo=x}} {{M|10|ul=km}}{{cita|Rossi|p. 3}}.", "Così è 10 km."),
        ("pt", "{{séc|XX}} {{dtlink|1|1|1900}} {{lang-en|cat}}", "século XX 1 de janeiro de 1900 em inglês: cat"),
        ("nl", "leven.{{Bron?||2011|05|07}} {{Bron?|Dit is|2011}}", "leven. Dit is"),
        ("pl", "{{cytat|Tak.|Kto}} {{fakt|data=2010}}", "Tak."),
        (
            "ru",
            "({{langi|la|Luna}}) {{s|1 год}} {{нет АИ 2|Слово|1}} {{OldStyleDate|7 мая|1840|25 апреля}}",
            "(Luna) 1 год Слово 25 апреля [7 мая] 1840",
        ),
        ("uk", "{{lang-en|cat}} і {{lang-grc|λόγος}}", "англ. cat і дав.-гр. λόγος"),
        (
            "ko",
            "{{llang|en|cat}}, {{루비|서울|seoul}}, {{출생일|1990|1|2}}",
            "영어: cat, 서울(seoul), 1990년 1월 2일",
        ),
        ("ja", "{{圏点|文章=強}}と{{下線|線}}、{{JPN}}", "強と線、日本"),
        ("zh", "{{僻字|龘|三龙}}与{{CNY|5}}，{{CHN}}", "龘与¥5，中国"),
        ("en", "{{langx|ru|Москва|Moskva|Moscow}}", "Russian: Москва, romanized: Moskva, lit. 'Moscow'"),
        ("en", "{{lang-la|Veni|lit=I came}}; {{lang|la|x|lit=y}}", "Latin: Veni, lit. 'I came'; x (lit. 'y')"),
        ("en", "{{death date and age|2020|3|1|1950|6|15}}", "March 1, 2020 (aged 69)"),
        ("en", "{{marriage|Ann|1990|2020|died}}, {{marriage|Eve|1990}}", "Ann (m. 1990; d. 2020), Eve (m. 1990)"),
        (
            "en",
            "{{pop density|4262635|634658.27|km2|prec=1}}, {{usc|18|3553|a}}",
            "6.7/km² (17.4/sq mi), 18 U.S.C. § 3553(a)",
        ),
        ("en", "{{EUR|5}} {{JPN}} {{m|II|e}}", "€5"),
    ],
)
def test_templates_show_what_their_own_wiki_shows(lang: str, text: str, shown: str) -> None:
    assert rendered(text, lang) == shown


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (
            "Nome=Ada|Cognome=Rossi|Sesso=F|LuogoNascita=Roma|GiornoMeseNascita=1º gennaio|AnnoNascita=1900"
            "|LuogoMorte=Milano|AnnoMorte=1980|Attività=attrice|Attività2=regista|Nazionalità=italiana",
            "Ada Rossi (Roma, 1º gennaio 1900 – Milano, 1980) è stata un'attrice e regista italiana.",
        ),
        (
            "Nome=Ugo|Cognome=Bo|Sesso=M|AnnoNascita=1950|Attività=scrittore|Nazionalità=italiano"
            "|PostNazionalità=, nato a Bari",
            "Ugo Bo (1950) è uno scrittore italiano, nato a Bari.",
        ),
        ("Nome=Ugo|Cognome=Bo|FineIncipit=è un personaggio", "Ugo Bo è un personaggio."),
    ],
)
def test_an_italian_biography_begins_with_the_sentence_of_its_template(fields: str, shown: str) -> None:
    assert rendered("{{Bio|" + fields + "}}\nAltro.", "it") == f"{shown}\nAltro."
