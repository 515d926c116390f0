"""CSV and Parquet: separators, quotes, columns inside others, and what is refused."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmpipe.document import Document
from lmpipe.errors import InputError
from lmpipe.sources import local
from tests.sources.reading import errors, read, read_files, source, tally, texts

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子。"


def test_csv_takes_a_byte_order_mark_and_dos_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + b'text;n\r\n"a;\r\nb";1\r\n'
    assert texts(read(tmp_path, "csv", content)) == ["a;\nb"]


def test_csv_of_tabs_takes_an_unpaired_quote_as_a_character(tmp_path: Path) -> None:
    content = 'n\ttext\n1\t"Stop, she said.\n2\tplain\n3\tsize 5"\n'
    assert texts(read(tmp_path, "csv", content)) == ['"Stop, she said.', "plain", 'size 5"']


def test_csv_of_tabs_takes_paired_quotes_as_quotes(tmp_path: Path) -> None:
    content = 'n\ttext\n1\t"two\nlines, ""quoted"""\n2\tplain\n'
    assert texts(read(tmp_path, "csv", content)) == ['two\nlines, "quoted"', "plain"]


def test_parquet_finds_columns_inside_others_and_joins_lists(tmp_path: Path) -> None:
    rows = [{"meta": {"title": "Tides"}, "parts": ["One.", "Two."]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (document,) = read_files(source("parquet", fields={"text": "parts", "title": "meta.title"}), tmp_path / "t.parquet")
    assert isinstance(document, Document)
    assert (document.title, document.text) == ("Tides", "One.\nTwo.")


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


def test_csv_gives_a_bad_record_for_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    found = read(tmp_path, "csv", 'id,text\n0,z\n1,"open\n2,b\n3,c\n')
    assert texts(found) == ["z"]
    assert [error for error in errors(found) if "3 lines from here are lost" in error] != []


def test_csv_refuses_a_mapped_column_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there twice"):
        read(tmp_path, "csv", "text,text\na,b\n")


def test_parquet_refuses_a_dotted_path_that_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    pq.write_table(pa.table({"doc": [{"body": "a"}]}), path)
    with pytest.raises(InputError, match=r"no column 'doc.text' for text; found struct<body: string>"):
        read_files(source("parquet", fields={"text": "doc.text"}), path)
    assert texts(read_files(source("parquet", fields={"text": "doc.body"}), path)) == ["a"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_reads_every_kind_of_string_and_counts_nulls(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "kinds.parquet"
    pq.write_table(pa.table({"text": pa.array(["a", None, "", "b"], pa.string()).cast(kind)}), path)
    found = read_files(source("parquet"), path)
    assert (texts(found), tally(found)["empty"]) == (["a", "b"], 2)


def test_parquet_holds_a_small_part_of_a_large_row_group(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    draw = random.Random(1)
    table = pa.table({"text": [draw.randbytes(2000).hex() for _ in range(5000)]})
    pq.write_table(table, path, row_group_size=len(table), use_dictionary=False, compression="none")
    del table
    settings = source("parquet")
    (unit,) = local.units(settings, [path])
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in local.read(settings, unit)]
    assert len(held) == 5000
    assert max(held) < path.stat().st_size / 2
