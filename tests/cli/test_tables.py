"""Values are printed as people read them."""

import pytest

from lmpipe.cli.tables import cell


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (1234567, "1,234,567"), (3.14159, "3.142"), (12345.6, "12,346"), ("a", "a"), (True, "True")],
)
def test_cell_writes_a_value_for_reading(value: object, text: str) -> None:
    assert cell(value) == text
