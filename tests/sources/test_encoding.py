"""Decoding: what is tried in which order, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.errors import InputError
from lmpipe.sources.encoding import UndecodableError, check_encoding, decode

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子，说今年的雨水比往年多。\n"
TRADITIONAL = "風從海上來，吹過舊城的屋頂。茶館裡的老人放下杯子，說今年的雨水比往年多。\n"
FRENCH = "L’été dernier, la sœur du garçon était très gâtée par la météo à Évreux.\n"
POLISH = "Wczoraj wieczorem poszliśmy na bardzo ciekawy film, który się nam podobał; można było zobaczyć świat.\n"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (CHINESE, "gb18030"),
        (TRADITIONAL, "big5hkscs"),
        (FRENCH, "cp1252"),
        (FRENCH * 40, "cp1252"),
        (POLISH, "cp1250"),
        ("Старый маяк стоял на краю залива, и чайки кричали.\n", "cp1251"),
        ("古い灯台は入り江のはずれに立っていた。\n", "cp932"),
    ],
)
def test_decode_detects_the_codec_when_nothing_is_declared(text: str, codec: str) -> None:
    assert decode(text.encode(codec), None) == (text, codec)


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
