"""The ingest flow of a source that is fetched: what the download task brought is what is read."""

from pathlib import Path

import pyarrow.parquet as pq

from flows.ingest import ingest
from lmpipe.dataset import open_dataset
from tests.cli.test_download import RECIPE
from tests.sources.download.server import File, serve
from tests.sources.download.test_feeds_poll import rss


def test_each_run_reads_what_is_new_beside_what_is_known(tmp_path: Path) -> None:
    recipe = tmp_path / "bay.toml"
    with serve({"/a": rss("1", "2")}) as server:
        recipe.write_text(RECIPE.format(url=server.url, private="true"))
        (first,) = ingest(recipe, tmp_path, workers=1)
        (same,) = ingest(recipe, tmp_path, workers=1)
        server.files["/a"] = File(rss("2", "3"))
        (second,) = ingest(recipe, tmp_path, workers=1)
    assert same == first
    assert open_dataset(first).counts["kept"] == 2
    texts = [row["text"] for path in open_dataset(second).paths("documents") for row in pq.read_table(path).to_pylist()]
    assert texts == ["News 1.", "News 2.", "News 3."]
