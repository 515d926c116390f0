"""Local corpora: six formats, one mapping, and the same rules for what is bad or skipped."""

import bz2
import gzip
import json
import lzma
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmpipe.document import BadRecord, Document, Skipped
from lmpipe.errors import InputError
from lmpipe.sources import archives, local, records
from tests.sources.reading import TAGGED, errors, read, read_files, source, story, tally, texts

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子。"


# text


def test_text_makes_a_file_a_document(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "text", "First line.\r\nSecond line.\r\n")
    assert isinstance(document, Document)
    assert document.text == "First line.\nSecond line."
    assert (document.native_id, document.title) == ("corpus.txt", "corpus")


def test_text_names_files_by_their_path_inside_the_folder(tmp_path: Path) -> None:
    for folder in ("sport", "business"):
        (tmp_path / "bbc" / folder).mkdir(parents=True)
        (tmp_path / "bbc" / folder / "001.txt").write_text(folder)
    files = sorted((tmp_path / "bbc").rglob("*.txt"))
    found = read_files(source("text", paths=("bbc",)), *files)
    assert [r.native_id for r in found if isinstance(r, Document)] == ["business/001.txt", "sport/001.txt"]


@pytest.mark.parametrize("pattern", ["bbc/*/*.txt", "bbc/**/*.txt", "*/*/001.txt", "**/*.txt"])
def test_text_names_files_of_one_name_apart_whatever_the_pattern(tmp_path: Path, pattern: str) -> None:
    for folder in ("sport", "business"):
        (tmp_path / "bbc" / folder).mkdir(parents=True)
        (tmp_path / "bbc" / folder / "001.txt").write_text(folder)
    found = read_files(source("text", paths=(pattern,)), *sorted((tmp_path / "bbc").rglob("*.txt")))
    assert [r.native_id for r in found if isinstance(r, Document)] == ["business/001.txt", "sport/001.txt"]


def test_text_names_a_file_the_same_when_it_is_alone(tmp_path: Path) -> None:
    (tmp_path / "bbc" / "sport").mkdir(parents=True)
    (tmp_path / "bbc" / "sport" / "001.txt").write_text("sport")
    (document,) = read_files(source("text", paths=("bbc/*/*.txt",)), tmp_path / "bbc" / "sport" / "001.txt")
    assert isinstance(document, Document)
    assert document.native_id == "sport/001.txt"


def test_text_makes_each_zip_member_a_document_and_writes_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/one.txt", "one")
        archive.writestr("../../escape.txt", "two")
        archive.writestr("folder/empty.txt", "")
    found = read_files(source("text"), tmp_path / "a.zip")
    assert [r.native_id for r in found if isinstance(r, Document)] == ["folder/one.txt", "../../escape.txt"]
    assert tally(found) == {"Document": 2, "empty": 1}
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_text_counts_what_macos_leaves_in_a_zip_as_no_document(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.txt", "Some words.")
        archive.writestr("__MACOSX/._train.txt", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
        archive.writestr("b/.DS_Store", b"\x00\x00\x00\x01Bud1")
    found = read_files(source("text"), tmp_path / "a.zip")
    assert [record.text for record in found if isinstance(record, Document)] == ["Some words."]
    assert [record.reason for record in found if isinstance(record, Skipped)] == ["mac_metadata"] * 2


def test_text_refuses_a_zip_bomb_and_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", " " * 100_000)
        archive.writestr("good.txt", "good")
    found = read_files(source("text"), tmp_path / "a.zip")
    assert texts(found) == ["good"]
    assert "zip member of more than 1000 bytes" in errors(found)[0]


def test_text_loses_only_the_damaged_zip_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.txt", "damaged words")
        archive.writestr("two.txt", "good words")
    data = (tmp_path / "a.zip").read_bytes().replace(b"damaged words", b"damaged w\x00rds", 1)
    (tmp_path / "a.zip").write_bytes(data)
    found = read_files(source("text"), tmp_path / "a.zip")
    assert texts(found) == ["good words"]
    assert "cannot be read" in errors(found)[0]


def test_units_refuse_a_damaged_zip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged zip"):
        read(tmp_path, "text", b"PK\x03\x04 and nothing more")


def test_text_says_which_codec_it_detected(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "text", (CHINESE * 5).encode("gb18030"))
    assert isinstance(document, Document)
    assert (document.text, document.meta) == (CHINESE * 5, {"encoding": "gb18030"})


# lines and jsonl


def test_lines_makes_each_line_a_document(tmp_path: Path) -> None:
    found = read(tmp_path, "lines", "one\n\ntwo\r\nthree")
    assert texts(found) == ["one", "two", "three"]
    assert [r.native_id for r in found if isinstance(r, Document)] == ["corpus.txt#1", "corpus.txt#3", "corpus.txt#4"]
    assert tally(found)["empty"] == 1


def test_lines_decodes_short_lines_by_the_codec_of_the_file(tmp_path: Path) -> None:
    lines = ["да", "Старый маяк стоял на краю залива, и чайки кричали над водой.", "но"]
    assert texts(read(tmp_path, "lines", "\n".join(lines).encode("cp1251"))) == lines


def test_lines_refuses_an_overlong_line_and_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 100)
    found = read(tmp_path, "lines", "short\n" + "x" * 5000 + "\nlast\n")
    assert texts(found) == ["short", "last"]
    assert "line of 5001 bytes" in errors(found)[0]


PACKED = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


@pytest.mark.parametrize("packed", sorted(PACKED))
@pytest.mark.parametrize("form", ["lines", "text", "jsonl", "csv"])
def test_every_format_is_inflated(tmp_path: Path, packed: str, form: str) -> None:
    content = {"lines": b"one\n", "text": b"one", "jsonl": b'{"text": "one"}\n', "csv": b"id,text\n1,one\n"}[form]
    assert texts(read(tmp_path, form, PACKED[packed](content))) == ["one"]


@pytest.mark.parametrize("packed", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("form", ["lines", "text"])
def test_damaged_compression_is_said(tmp_path: Path, packed: str, form: str) -> None:
    found = read(tmp_path, form, PACKED[packed](b"one\ntwo\n")[:-6])
    assert "damaged compression" in errors(found)[0]


def test_lines_keeps_what_comes_before_damaged_compression(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "lines", gzip.compress(b"one\ntwo\n")[:-6]))[:1] == ["one"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["", "a", "bcd", "efghijklmnop"]), max_size=12),
    st.integers(1, 20),
    st.sampled_from(["\n", "\r\n"]),
)
def test_lines_of_a_long_file_are_the_same_in_units(tmp_path: Path, rows: list[str], unit: int, end: str) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(end.join(rows).encode())
    whole = read_files(source("lines"), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "UNIT_BYTES", unit)
        assert len(local.units(source("lines"), [path])) == max(-(-path.stat().st_size // unit), 1)
        assert read_files(source("lines"), path) == whole


def test_a_zip_is_refused_by_other_formats_than_text(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jsonl", "{}")
    with pytest.raises(InputError, match="is a zip; expected jsonl"):
        read_files(source("jsonl"), tmp_path / "a.zip")


def test_jsonl_maps_fields(tmp_path: Path) -> None:
    row = {"n": 7, "head": "A  title", "body": " Words. ", "link": "https://x.example"}
    row["day"] = "2021-05-04T10:00:00+02:00"
    fields = {"id": "n", "title": "head", "text": "body", "url": "link", "created": "day"}
    (document,) = read(tmp_path, "jsonl", json.dumps(row), fields=fields)
    assert isinstance(document, Document)
    assert (document.native_id, document.title, document.text) == ("7", "A title", "Words.")
    assert (document.url, document.created) == ("https://x.example", datetime(2021, 5, 4, 8, tzinfo=UTC))


def test_jsonl_keeps_the_domain_of_a_record(tmp_path: Path) -> None:
    rows = [{"text": "Words.", "genre": "romance"}, {"text": "Others.", "genre": None}]
    content = "\n".join(map(json.dumps, rows))
    found = read(tmp_path, "jsonl", content, fields={"text": "text", "domain": "genre"})
    assert [record.meta for record in found if isinstance(record, Document)] == [{"domain": "romance"}, {}]


def test_text_takes_the_folder_of_a_file_as_its_domain(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "news.zip", "w") as archive:
        archive.writestr("bbc/sport/001.txt", "A match.")
    (document,) = read_files(source("text", domain="folder"), tmp_path / "news.zip")
    assert isinstance(document, Document)
    assert document.meta == {"domain": "sport"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "cut', "not valid JSON"),
        ("[1, 2]", "expected a JSON object, found list"),
        ('{"text": 5}', "text: expected a string, found int"),
        ('{"text": "half \\ud800"}', "half characters"),
        ('{"text": ' + "[" * 100_000, "nested too deeply"),
        (b'{"text": "caf\xe9\x00\x01"}', "not utf-8"),
    ],
)
def test_jsonl_gives_a_bad_record_with_its_place(tmp_path: Path, line: str | bytes, message: str) -> None:
    good = b'{"text": "good"}\n'
    data = line if isinstance(line, bytes) else line.encode()
    found = read(tmp_path, "jsonl", good + data + b"\n" + good)
    assert texts(found) == ["good", "good"]
    (bad,) = [r for r in found if isinstance(r, BadRecord)]
    assert "corpus.txt#2" in bad.error
    assert message in bad.error
    assert bad.origin[1:] == (len(good), len(data) + 1)


def test_jsonl_refuses_a_text_column_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'text' for text; found \['body', 'id'\]"):
        read(tmp_path, "jsonl", '{"id": 1, "body": "x"}')


def test_jsonl_refuses_a_column_that_no_record_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'titel' for title"):
        read(tmp_path, "jsonl", '{"text": "a"}\n{"text": "b"}', fields={"title": "titel"})


def test_jsonl_accepts_a_column_that_some_records_lack(tmp_path: Path) -> None:
    found = read(tmp_path, "jsonl", '{"text": "a"}\n{"text": "b", "t": "T"}', fields={"title": "t"})
    assert [r.title for r in found if isinstance(r, Document)] == ["", "T"]


def test_jsonl_finds_columns_inside_others_by_dotted_path(tmp_path: Path) -> None:
    row = {"body": {"text": "Words."}, "meta": {"title": "Tides", "more": 5}, "a.b": "7"}
    fields = {"id": "a.b", "text": "body.text", "title": "meta.title", "url": "meta.more.deeper"}
    (document,) = read(tmp_path, "jsonl", json.dumps(row), fields=fields)
    assert isinstance(document, Document)
    assert (document.native_id, document.title, document.text, document.url) == ("7", "Tides", "Words.", None)


def test_jsonl_joins_a_list_of_paragraphs(tmp_path: Path) -> None:
    found = read(tmp_path, "jsonl", '{"text": ["One.", "Two."]}\n{"text": ["One.", 2]}\n{"text": []}')
    assert texts(found) == ["One.\nTwo."]
    assert "text: expected a string, found list" in errors(found)[0]
    assert tally(found)["empty"] == 1


@pytest.mark.parametrize(
    "line",
    ['{"text": "a", "n": NaN}', '{"text": "b", "text": "a"}', '{"n": 123456789012345678901234567890, "text": "a"}'],
)
def test_jsonl_reads_what_pythons_json_reads(tmp_path: Path, line: str) -> None:
    assert texts(read(tmp_path, "jsonl", line)) == ["a"]


def test_jsonl_gives_a_bad_record_for_a_number_of_too_many_digits(tmp_path: Path) -> None:
    assert "not valid JSON" in errors(read(tmp_path, "jsonl", '{"text": "a", "n": ' + "9" * 5000 + "}"))[0]


def test_jsonl_takes_a_byte_order_mark_and_dos_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + '{"text": "été"}\r\n{"text": "b"}\r\n'.encode()
    assert texts(read(tmp_path, "jsonl", content)) == ["été", "b"]


@pytest.mark.parametrize(
    ("form", "changes", "message"),
    [
        ("jsonl", {"fields": {"body": "x"}}, r"fields names \['body'\]"),
        ("lines", {"fields": {"text": "x"}}, "has no fields"),
        ("tagged", {"fields": {"text": "x"}}, "needs record"),
        ("lines", {"encoding": "utf-16"}, "cannot be read as utf-16"),
        ("text", {"encoding": "klingon"}, "no text codec"),
    ],
)
def test_units_refuse_settings_that_do_not_fit(form: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        local.units(source(form, **changes), [])


@pytest.mark.parametrize("value", ["", "yesterday", "99-XXX-1987", "0001-01-01T00:00:00+14:00", 5, None, "20211399"])
def test_parse_date_gives_none_for_what_is_no_date(value: object) -> None:
    assert records.parse_date(value) is None


# Real corpora


def test_text_reads_the_bbc_zip(corpora: Path) -> None:
    assert tally(read_files(source("text"), corpora / "news" / "bbc-fulltext.zip")) == {"Document": 2225}


# Fuzz

SAMPLES = {
    "jsonl": b'{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n',
    "csv": b'id,text\n1,"one"\n2,two\n3,three\n',
    "tagged": "".join(story(n) for n in range(3)).encode(),
    "lines": b"one\ntwo\nthree\n",
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 400), st.binary(max_size=12), st.integers(0, 12))
def test_read_accounts_for_any_edit_of_a_file(tmp_path: Path, form: str, at: int, insert: bytes, cut: int) -> None:
    content = SAMPLES[form]
    at %= len(content)
    changes: dict[str, object] = {"record": "REUTERS", "fields": TAGGED} if form == "tagged" else {}
    try:
        found = read(tmp_path, form, content[:at] + insert + content[at + cut :], **changes)
    except InputError as error:
        # an edit may hit a column's name, or make the mark of UTF-16 or of a zip
        assert re.search("no column|is utf-|is a zip", str(error))  # noqa: PT017
        return
    assert found
    for document in (r for r in found if isinstance(r, Document)):
        (document.native_id + document.title + document.text).encode()


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "lines"])
def test_lines_in_utf16_are_refused_at_once(tmp_path: Path, form: str, codec: str) -> None:
    content = '{"text": "eine Flut"}\n{"text": "noch eine"}\n' if form == "jsonl" else "text\neine Flut\nnoch eine\n"
    with pytest.raises(InputError, match=r"is utf-(16|32)-.*iconv"):
        read(tmp_path, form, content.encode(codec))


def test_text_in_utf16_is_read_with_and_without_a_mark(tmp_path: Path) -> None:
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        assert texts(read(tmp_path, "text", "Eine Flut kam über die Watten.\nZwei.\n".encode(codec))) == [
            "Eine Flut kam über die Watten.\nZwei."
        ]


def test_a_json_array_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found an array"):
        read(tmp_path, "jsonl", '\ufeff[\n  {"text": "a"},\n  {"text": "b"}\n]')


def test_a_broken_first_line_is_no_json_array(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "jsonl", '[{"text": "a"}\n{"text": "b"}\n')) == ["b"]
