"""Decoding: what is tried in which order, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.errors import InputError
from lmpipe.sources.encoding import UndecodableError, check_encoding, decode

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子，说今年的雨水比往年多。\n"
TRADITIONAL = "風從海上來，吹過舊城的屋頂。茶館裡的老人放下杯子，說今年的雨水比往年多。\n"
FRENCH = "L’été dernier, la sœur du garçon était très gâtée par la météo à Évreux.\n"
POLISH = "Wczoraj wieczorem poszliśmy na bardzo ciekawy film, który się nam podobał; można było zobaczyć świat.\n"


RARE = "镕先生和𠮷田先生谈起了那座桥，谈到很晚。"  # 镕 is not in GB 2312, 𠮷 has four bytes in GB18030
HONG_KONG = "佢哋喺碼頭度等咗成個朝早，啲船都未返嚟。"  # 佢哋喺咗啲嚟: Cantonese, partly only in HKSCS
RUSSIAN = "Старый маяк стоял на краю залива, и чайки кричали над водой; зимой посёлок отрезало от земли.\n"
JAPANESE = "古い灯台は入り江のはずれに立っていた。カモメが鳴き、船はもう別の道を通っていた。\n"
KOREAN = "오래된 등대는 만의 끝에 서 있었고 갈매기들은 물 위에서 울었다.\n"
GREEK = "Ο παλιός φάρος στεκόταν στην άκρη του κόλπου και οι γλάροι φώναζαν πάνω από το νερό.\n"
TURKISH = "Köyde onun, savaştan önce kuzeye giden kardeşinden mektup beklediğini söylerlerdi, ışıklar yanıyordu.\n"
HEBREW = "המגדלור הישן עמד בקצה המפרץ והשחפים צעקו מעל המים. השומר עלה במדרגות בכל ערב.\n"
ARABIC = "وقفت المنارة القديمة عند طرف الخليج وصاحت النوارس فوق الماء، وكان الحارس يصعد الدرج كل مساء.\n"
SPANISH = "—¿Qué pasó? —preguntó él. El niño había salido mañana y tarde; volvió después del almuerzo, sí.\n"
GERMAN = "Der Wärter stieg jeden Abend über die Treppe und zündete die Lampe an; müde Möwen saßen draußen.\n"
CZECH = "Starý maják stál na okraji zálivu a rackové křičeli nad vodou; žádné lodě už tudy neplují, řekl šeptem.\n"
ENGLISH = "“You can’t mean it,” she said. “It isn’t the keeper’s lamp—it’s the moon.”\n"

READINGS = [
    *((CHINESE, codec) for codec in ("gb18030", "gbk", "hz", "utf-16-le", "utf-16-be")),
    (RARE * 3, "gb18030"),
    *((TRADITIONAL, codec) for codec in ("big5", "big5hkscs", "gb18030")),
    (HONG_KONG * 3, "big5hkscs"),
    *((JAPANESE, codec) for codec in ("cp932", "euc_jp", "iso2022_jp")),
    (KOREAN, "cp949"),
    *((RUSSIAN, codec) for codec in ("cp1251", "koi8_r", "cp866", "iso8859-5")),
    *((GREEK, codec) for codec in ("cp1253", "iso8859-7")),
    *((POLISH, codec) for codec in ("cp1250", "iso8859-2")),
    *((CZECH, codec) for codec in ("cp1250", "iso8859-2")),
    (TURKISH, "cp1254"),
    (HEBREW, "cp1255"),
    (ARABIC, "cp1256"),
    *((FRENCH, codec) for codec in ("cp1252",)),
    *((SPANISH, codec) for codec in ("cp1252", "mac_roman")),
    *((GERMAN, codec) for codec in ("cp1252", "iso8859-1", "mac_roman", "cp850")),
    *((ENGLISH, codec) for codec in ("cp1252", "mac_roman", "gb18030")),
]


@pytest.mark.parametrize(("text", "codec"), READINGS)
@pytest.mark.parametrize("times", [1, 40])
def test_decode_finds_the_text_when_nothing_is_declared(text: str, codec: str, times: int) -> None:
    assert decode((text * times).encode(codec), None)[0] == text * times


@pytest.mark.parametrize(("text", "codec"), [(CHINESE, "gb18030"), (TRADITIONAL, "big5hkscs"), (FRENCH, "cp1252")])
def test_decode_says_which_codec_it_found(text: str, codec: str) -> None:
    assert decode(text.encode(codec), None)[1] == codec


@pytest.mark.parametrize(
    ("text", "codec", "wrong"),
    [
        (CHINESE, "gb18030", "cp1252"),
        (CHINESE, "utf-8", "cp1252"),
        (RUSSIAN, "cp1251", "cp1252"),
        (RUSSIAN, "koi8_r", "iso8859-1"),
        (GREEK, "cp1253", "cp1252"),
        (GERMAN * 3, "mac_roman", "cp1252"),
        (SPANISH * 3, "cp1252", "cp1251"),
        (SPANISH * 3, "cp1252", "mac_roman"),
    ],
)
def test_decode_refuses_mojibake_whoever_names_the_codec(text: str, codec: str, wrong: str) -> None:
    data = (text * 5).encode(codec)
    with pytest.raises(UndecodableError, match=r"^not "):
        decode(data, wrong)
    assert decode(data, None, declared=wrong)[0] == text * 5, "a declaration that cannot be true is passed over"


def test_decode_keeps_text_that_only_looks_escaped() -> None:
    text = "In TeX ~{} is a tie, and ~{a} one over a letter.\n"
    assert decode(text.encode(), None) == (text, "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("length", [100, 1000, 10_000])
@pytest.mark.parametrize(
    ("file", "codecs"),
    [
        ("zh/红楼梦.txt", ("gb18030", "gbk", "hz", "utf-16-le")),
        ("zh/西游记.txt", ("gb18030", "utf-16-be")),
        ("gutenberg/24264-0.txt", ("big5", "big5hkscs", "gb18030")),
        ("gutenberg-24675-nl/24675-8.txt", ("cp1252",)),
    ],
)
def test_decode_finds_pieces_of_real_novels(corpora: Path, file: str, codecs: tuple[str, ...], length: int) -> None:
    whole = decode((corpora / "novels" / file).read_bytes(), None)[0]
    wrong = []
    for codec in codecs:
        for start in range(5000, 200_000, 10_000):
            data = whole[start : start + length // 2].encode(codec, "ignore")
            text = data.decode(codec)
            try:
                if decode(data, None)[0] != text:
                    wrong.append((codec, start))
            except UndecodableError:
                continue
    allowed = 3 if "nl" in file else 0  # a hundred bytes of Dutch hold one accent, and ï is also a Baltic letter
    assert len(wrong) <= allowed, wrong


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_decode_takes_a_byte_order_mark_first(codec: str) -> None:
    assert decode(CHINESE.encode(codec), None, declared="cp1252")[0] == CHINESE


def test_decode_prefers_valid_utf8_when_something_else_is_declared() -> None:
    assert decode(FRENCH.encode(), None, declared="iso-8859-1") == (FRENCH, "utf-8")


@pytest.mark.parametrize("label", ["gb2312", "GBK", "x-gbk", "gb18030"])
def test_decode_reads_gb18030_when_a_gb_label_is_declared(label: str) -> None:
    text = "镕𠮷" + CHINESE  # neither of the first two is in GB 2312, the second not in GBK either
    assert decode(text.encode("gb18030"), None, declared=label) == (text, "gb18030")


def test_decode_reads_windows_1252_when_latin_1_is_declared() -> None:
    assert decode(b"\x93quoted\x94 caf\xe9", None, declared="ISO-8859-1") == ("“quoted” café", "cp1252")
    assert decode(b"a\x93b", None, declared="latin-1") == ("a“b", "cp1252"), "detection would take it for Chinese"


UMLAUTS = GERMAN * 10


@pytest.mark.parametrize("stray", ["Mitgefühl wählen", "“quoted” words", "à la carte", "10 € each", "São Paulo"])
@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1"])
def test_decode_reads_a_few_bytes_of_cp1252_in_utf8_when_the_caller_will_say_so(
    stray: str, declared: str | None
) -> None:
    data = UMLAUTS.encode() + stray.encode("cp1252")
    assert decode(data, None, declared, mixed=True) == (UMLAUTS + stray, "utf-8+cp1252")
    with pytest.raises(UndecodableError, match="not utf-8: invalid"):
        decode(data, None, declared)


@pytest.mark.parametrize(
    "data",
    [
        UMLAUTS.encode() + GERMAN.encode("cp1252") * 9,  # two halves
        GERMAN.encode() + GERMAN.encode("cp1252"),  # as much of the one as of the other
        "It’s the keeper’s lamp, he said—and ".encode() + b"caf\xe9 too",  # too short to be sure of
        UMLAUTS.encode() + "中国".encode("gbk"),  # another codec's words
        UMLAUTS.encode() + "“quoted”".encode()[:-1],  # a character cut off: two bytes
        CHINESE.encode() * 20 + CHINESE.encode()[:1] + b"<p>",  # cut off to one byte, which would pass for a letter
        RUSSIAN.encode() * 20 + b" " + RUSSIAN.encode()[:1] + b"<p>",
        UMLAUTS.encode() + b" \x81 ",  # nothing in cp1252
        UMLAUTS.encode() + b"lower\xc4case",
    ],
)
def test_decode_refuses_bytes_that_are_utf8_only_in_part(data: bytes) -> None:
    with pytest.raises(UndecodableError, match="not utf-8"):
        decode(data, None, mixed=True)


def test_decode_ignores_a_declared_codec_that_does_not_exist() -> None:
    assert decode(FRENCH.encode("cp1252"), None, declared="no\0such") == (FRENCH, "cp1252")


def test_decode_is_strict_when_the_recipe_names_the_codec() -> None:
    with pytest.raises(UndecodableError, match=r"not utf-8.*byte 3"):
        decode(b"caf\xe9 au lait", "utf-8")


@pytest.mark.parametrize("data", [b"\x00\x01\x02\x03" * 100, bytes(range(256)) * 20])
def test_decode_refuses_when_the_result_would_hold_control_characters(data: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(data, None)


def test_decode_refuses_latin_1_mojibake_when_the_recipe_names_it_wrongly() -> None:
    with pytest.raises(UndecodableError, match="control characters"):
        decode("“茶”".encode(), "iso8859-15")


def test_decode_accepts_a_stray_control_character_in_utf8() -> None:
    assert decode(b"headline \x7f of the day", None)[1] == "utf-8"


@pytest.mark.parametrize("name", ["no-such-codec", "hex"])
def test_check_encoding_refuses_what_is_no_text_codec(name: str) -> None:
    with pytest.raises(InputError, match="no text codec"):
        check_encoding(name, "books")


@given(st.binary(max_size=300), st.sampled_from([None, "gb2312", "utf-16", "iso-8859-1", "bogus"]))
def test_decode_gives_text_or_its_own_error_for_any_bytes(data: bytes, declared: str | None) -> None:
    try:
        text, codec = decode(data, None, declared)
    except UndecodableError:
        return
    text.encode()
    assert codec


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_decode_returns_any_utf8_text_unchanged(text: str) -> None:
    text = text.replace("\ufffd", "").replace("\ufffe", "").replace("\uffff", "").removeprefix("\ufeff")
    assert decode(text.encode(), None)[0] == text
