"""Values are printed as people read them."""

import pytest

from lmpipe.cli.tables import cell, print_rows


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (1234567, "1,234,567"), (3.14159, "3.142"), (12345.6, "12,346"), ("a", "a"), (True, "True")],
)
def test_cell_writes_a_value_for_reading(value: object, text: str) -> None:
    assert cell(value) == text


def test_a_row_is_one_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("long", [{"dataset": "d" * 64, "run": "r" * 64}])
    assert f"{'d' * 64}   {'r' * 64}" in capsys.readouterr().out
