"""Values are printed as people read them."""

import re
import sys
from pathlib import Path

import pytest

import lmpipe.cli
from lmpipe.cli.summary import print_pointers
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


def test_a_run_that_was_started_as_a_module_names_commands_that_exist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [str(Path(lmpipe.cli.__file__).with_name("__main__.py"))])
    print_pointers(tmp_path, tmp_path / "report.html", None, ours=False)
    commands = re.findall(r"(\S+/(?:lmpipe|prefect)) (?:sql|server)", capsys.readouterr().out)
    assert len(commands) == 2
    assert all(Path(command).is_file() for command in commands)
