"""Local corpora: six formats, one mapping, and the same rules for what is bad or skipped."""

import gzip
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import LocalSource
from lmpipe.sources import local, records, tagged

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子。"
TAGGED = {"id": "@NEWID", "title": "TITLE", "text": "BODY", "created": "DATE"}


def source(form: str, **changes: object) -> LocalSource:
    return LocalSource(**{"kind": "local", "name": "here", "paths": (), "format": form} | changes)  # type: ignore[arg-type]


def read_files(settings: LocalSource, *files: Path) -> list[Record]:
    return [r for unit in local.units(settings, list(files)) for r in local.read(settings, unit)]


def read(tmp_path: Path, form: str, content: bytes | str, **changes: object) -> list[Record]:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files(source(form, **changes), path)


def tally(found: list[Record]) -> Counter[str]:
    return Counter(r.reason if isinstance(r, Skipped) else type(r).__name__ for r in found)


def texts(found: list[Record]) -> list[str]:
    return [r.text for r in found if isinstance(r, Document)]


def errors(found: list[Record]) -> list[str]:
    return [r.error for r in found if isinstance(r, BadRecord)]


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


def test_text_makes_each_zip_member_a_document_and_writes_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/one.txt", "one")
        archive.writestr("../../escape.txt", "two")
        archive.writestr("folder/empty.txt", "")
    found = read_files(source("text"), tmp_path / "a.zip")
    assert [r.native_id for r in found if isinstance(r, Document)] == ["folder/one.txt", "../../escape.txt"]
    assert tally(found) == {"Document": 2, "empty": 1}
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_text_refuses_a_zip_bomb_and_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_RECORD_BYTES", 1000)
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


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_lines_inflates_compressed_files(tmp_path: Path, packed: str) -> None:
    content = b"one\ntwo\n"
    data = gzip.compress(content) if packed == "gzip" else pa.Codec("zstd").compress(content, asbytes=True)
    assert texts(read(tmp_path, "lines", data)) == ["one", "two"]


def test_lines_keeps_what_comes_before_damaged_compression(tmp_path: Path) -> None:
    found = read(tmp_path, "lines", gzip.compress(b"one\ntwo\n")[:-6])
    assert texts(found)[:1] == ["one"]
    assert "damaged compression" in errors(found)[0]


def test_jsonl_maps_fields(tmp_path: Path) -> None:
    row = {"n": 7, "head": "A  title", "body": " Words. ", "link": "https://x.example"}
    row["day"] = "2021-05-04T10:00:00+02:00"
    fields = {"id": "n", "title": "head", "text": "body", "url": "link", "created": "day"}
    (document,) = read(tmp_path, "jsonl", json.dumps(row), fields=fields)
    assert isinstance(document, Document)
    assert (document.native_id, document.title, document.text) == ("7", "A title", "Words.")
    assert (document.url, document.created) == ("https://x.example", datetime(2021, 5, 4, 8, tzinfo=UTC))


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


# csv and parquet


def test_csv_reads_quoted_fields_over_several_lines(tmp_path: Path) -> None:
    found = read(tmp_path, "csv", 'id,text\n1,"two\nlines, ""quoted"""\n2,plain\n', fields={"id": "id"})
    assert texts(found) == ['two\nlines, "quoted"', "plain"]
    assert found[0].origin.offset == len("id,text\n")  # type: ignore[union-attr]


def test_csv_reads_tabs(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "csv", "label\ttext\n1\ta, b\n")) == ["a, b"]


def test_csv_gives_a_bad_record_for_a_row_of_the_wrong_width(tmp_path: Path) -> None:
    found = read(tmp_path, "csv", "id,text\n1,good\n2\n3,also,good\n4,fine\n")
    assert texts(found) == ["good", "fine"]
    assert "expected 2 columns, found 1" in errors(found)[0]


def test_csv_gives_a_bad_record_for_undecodable_bytes(tmp_path: Path) -> None:
    found = read(tmp_path, "csv", b"id,text\n1,good\n2,caf\xe9\n", encoding="utf-8")
    assert tally(found) == {"Document": 1, "BadRecord": 1}


def test_csv_refuses_a_first_line_that_names_no_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column names in line 1"):
        read(tmp_path, "csv", "\rid,text\n1,x\n")


def test_csv_refuses_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'body' for text; found \['id', 'words'\]"):
        read(tmp_path, "csv", "id,words\n1,x\n", fields={"text": "body"})


def test_parquet_reads_row_groups_as_units(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b", None, "d"], "unused": [1, 2, 3, 4], "day": pa.array([0] * 4, pa.date32())})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    settings = source("parquet", fields={"created": "day"})
    assert len(local.units(settings, [tmp_path / "t.parquet"])) == 2
    found = read_files(settings, tmp_path / "t.parquet")
    assert texts(found) == ["a", "b", "d"]
    assert tally(found)["empty"] == 1
    assert isinstance(found[3], Document)
    assert found[3].native_id == "t.parquet#4"
    assert found[3].created == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"body": ["x"]}), r"no column 'text' for text; found \['body'\]"),
        (pa.table({"text": [1]}), "column 'text' is int64; expected strings"),
    ],
)
def test_parquet_refuses_missing_and_mistyped_columns(tmp_path: Path, table: pa.Table, message: str) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        read_files(source("parquet"), tmp_path / "t.parquet")


def test_units_refuse_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not readable as Parquet"):
        read(tmp_path, "parquet", b"PAR1 but no more")


# tagged


def story(number: int, body: str = "<BODY>The tin price rose.</BODY>") -> str:
    date = "<DATE>26-FEB-1987 15:01:01.79</DATE>"
    return f'<REUTERS TOPICS="NO" NEWID="{number}">\n{date}<TITLE>T &lt;{number}></TITLE>{body}\n</REUTERS>\n'


def read_tagged(tmp_path: Path, content: bytes | str, **changes: object) -> list[Record]:
    return read(tmp_path, "tagged", content, **{"record": "REUTERS", "fields": TAGGED} | changes)


def test_tagged_maps_tags_and_attributes(tmp_path: Path) -> None:
    content = "<!DOCTYPE lewis>\n" + story(1) + story(2, "<BODY>A&#5;B &amp; <b>C</b>&#22;\r\nD</BODY>")
    first, second = read_tagged(tmp_path, content)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.native_id, first.title, first.text) == ("1", "T <1>", "The tin price rose.")
    assert first.created == datetime(1987, 2, 26, 15, 1, 1, tzinfo=UTC)
    assert second.text == "AB & C\nD"
    assert content[second.origin.offset :].startswith('<REUTERS TOPICS="NO" NEWID="2"')


def test_tagged_skips_a_record_without_a_text_tag(tmp_path: Path) -> None:
    assert tally(read_tagged(tmp_path, story(1, "") + story(2))) == {"empty": 1, "Document": 1}


@pytest.mark.parametrize("bite", [1, 7, 64, 1 << 20])
def test_tagged_finds_the_same_records_whatever_the_read_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bite: int
) -> None:
    monkeypatch.setattr(tagged, "CHUNK", bite)
    found = read_tagged(tmp_path, "".join(story(n) for n in range(5)))
    assert [r.native_id for r in found if isinstance(r, Document)] == ["0", "1", "2", "3", "4"]


def test_tagged_loses_only_the_record_whose_bytes_are_invalid(tmp_path: Path) -> None:
    good = f"<doc><docno>1</docno><content>{CHINESE}</content></doc>\n".encode("gb18030")
    bad = good.replace(b"</content>", b"\x81\x20\xff</content>")
    fields = {"id": "docno", "text": "content"}
    found = read_tagged(tmp_path, good + bad + good, record="doc", fields=fields, encoding="gb18030")
    assert tally(found) == {"Document": 2, "BadRecord": 1}
    assert "not gb18030" in errors(found)[0]


def test_tagged_gives_bad_records_when_end_tags_are_missing(tmp_path: Path) -> None:
    cut = story(1).replace("</REUTERS>", "")
    found = read_tagged(tmp_path, cut + story(2) + cut)
    assert texts(found) == ["The tin price rose."]
    assert ["no end tag" in errors(found)[0], "cut off" in errors(found)[1]] == [True, True]


def test_tagged_refuses_an_overlong_record_and_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagged, "MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr(tagged, "CHUNK", 300)
    found = read_tagged(tmp_path, story(1) + story(2, f"<BODY>{'x' * 5000}</BODY>") + story(3))
    assert [r.native_id for r in found if isinstance(r, Document)] == ["1", "3"]
    assert "at most 1000 are read" in errors(found)[0]


def test_tagged_says_when_the_record_tag_does_not_occur(tmp_path: Path) -> None:
    assert "no <REUTERS> in the file" in errors(read_tagged(tmp_path, "<doc>x</doc>"))[0]


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


def test_tagged_reads_reuters(corpora: Path) -> None:
    files = [corpora / "news" / "reuters-21578" / f"reut2-0{n}.sgm" for n in ("00", "17")]
    found = read_files(source("tagged", record="REUTERS", fields=TAGGED), *files)
    assert sum(tally(found).values()) == 2000
    odd = [r for r in found if isinstance(r, Document) and r.meta]
    assert [r.meta for r in odd] == [{"encoding": "cp1252"}]


def test_tagged_reads_sogou(corpora: Path) -> None:
    fields = {"id": "docno", "url": "url", "title": "contenttitle", "text": "content"}
    settings = source("tagged", record="doc", fields=fields, encoding="gb18030")
    assert sum(tally(read_files(settings, corpora / "news" / "sogou-gb18030.dat")).values()) == 200


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
        assert "no column" in str(error), "an edit may hit a column's name"  # noqa: PT017
        return
    assert found
    for document in (r for r in found if isinstance(r, Document)):
        (document.native_id + document.title + document.text).encode()
