"""When held-out documents were written."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from lmpipe.curate.dates import dates
from lmpipe.dataset import Execution
from tests.conftest import Ingested
from tests.tokens.chosen import TEXTS, choose


def test_held_out_documents_with_a_date_are_listed_in_utc(ingested: Ingested, tmp_path: Path) -> None:
    day = datetime(2025, 3, 1, 12, tzinfo=UTC)
    rows = [{"text": text, "created": day if n % 2 else None} for n, text in enumerate(TEXTS)]
    chosen = choose(tmp_path, ingested(rows))
    outcomes = [row for path in chosen.paths("outcomes") for row in pq.read_table(path).to_pylist()]
    held_out = {row["id"] for row in outcomes if row["split"] in ("valid", "test")}
    found = [row for path in dates(chosen, tmp_path, Execution()).paths("document_dates") for row in read(path)]
    assert {row["document"] for row in found} == {name for name in held_out if int(name.split(":")[1]) % 2}
    assert {row["created"] for row in found} == {datetime(2025, 3, 1, 12)}


def read(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
    return rows
