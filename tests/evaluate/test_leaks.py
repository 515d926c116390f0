"""Every score twice: on all held-out documents, and on those that training has no part of."""

from pathlib import Path
from typing import Any

import pytest
from evaluate.probed import model_on
from tokens.chosen import learn

from lmpipe import warehouse
from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.heldout import heldout
from lmpipe.dataset import Execution, Manifest, upstream
from lmpipe.evaluate.leaks import leaks
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.settings import DecontaminateSettings, EvaluateSettings, TokensSettings
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack
from tests.curate.test_decontaminate import chosen, filler
from tests.results_corpus import rows

SECRET = "and then he told them all how the grey mare had come home alone over the frozen river one night"
SETTINGS = DecontaminateSettings(guard=1.0)


def mixed_texts() -> list[str]:
    """Texts that share nothing but, every second one, a sentence of nineteen words."""
    return [f"{filler(n)} {SECRET if n % 2 else ''}" for n in range(40)]


def trained(data: Path, split: Manifest) -> Path:
    encoded = encode(split, learn(split, data), data, Execution())
    return model_on(pack(encoded, data, TokensSettings(), 1, Execution()), data)


def recorded(data: Path, run: Path, folders: list[Path]) -> Path:
    for folder in upstream(folders):
        warehouse.record_dataset(data / "warehouse", folder)
    warehouse.record_training(data / "warehouse", run)
    return data / "warehouse"


@pytest.fixture
def split(tmp_path: Path) -> Manifest:
    return chosen(tmp_path, mixed_texts(), test=0.3)


def twice(folder: Path) -> dict[str, Any]:
    (row,) = rows(folder, "select * from perplexity_clean where slice = 'all'")
    return row


def test_scores_stand_twice_and_the_clean_one_is_that_of_documents_without_overlap(split: Manifest) -> None:
    data = split.folder.parent.parent
    run = trained(data, split)
    scored = evaluate(run, EvaluateSettings(context=16, strides=("disjoint",)), data, Execution())
    assert rows(recorded(data, run, [scored.folder]), "select * from perplexity_clean") == []  # nobody searched yet
    (found,) = leaks(run, DecontaminateSettings(common=1000), Path(), data, Execution())
    folder = recorded(data, run, [scored.folder, found.folder])
    row = twice(folder)
    sums = "select count(*) as n, sum(nats) / sum(bytes) / ln(2) as bits from evaluation_documents"
    odd = "(split_part(document, ':', 2))::int % 2"
    (whole,), (clean,) = (rows(folder, f"{sums} where {odd} in {some}") for some in ("(0, 1)", "(0)"))
    assert (row["documents"], row["contaminated"]) == (whole["n"], whole["n"] - clean["n"])
    assert 0 < row["contaminated"] < row["documents"]
    assert row["bits_per_byte"] == pytest.approx(whole["bits"])
    assert row["bits_per_byte_clean"] == pytest.approx(clean["bits"])
    (same,) = rows(folder, "select * from perplexity where slice = 'all'")
    assert row["bits_per_byte_low"] == pytest.approx(same["bits_per_byte_low"], rel=0.02)  # linearised and resampled
    assert row["bits_per_byte_clean_high"] > row["bits_per_byte_clean"]
    leaked = warehouse.run_query(folder, "leaked_documents").to_pylist()
    assert len(leaked) == row["contaminated"] + sum(some["set"] == "valid" for some in leaked)
    assert all(Path(some["spans_in"]) == found.folder for some in leaked)


def test_what_the_recipe_has_removed_from_training_is_no_leak(split: Manifest) -> None:
    data = split.folder.parent.parent
    index = heldout(split, data, SETTINGS, Path(), Execution())
    everything = DecontaminateSettings(guard=1.0, common=1000)
    cleared = decontaminate(split, index, find_overlaps(split, index, data, Execution()), data, everything, Execution())
    assert cleared.counts["contaminated.test"]
    run = trained(data, cleared)
    (found,) = leaks(run, everything, Path(), data, Execution())
    scored = evaluate(run, EvaluateSettings(context=16, strides=("disjoint",)), data, Execution())
    folder = recorded(data, run, [scored.folder, found.folder])
    row = rows(folder, "select * from perplexity_clean where slice = 'all' and evaluation = $e", e=scored.fingerprint)
    assert [(r["contaminated"], r["bits_per_byte"] == r["bits_per_byte_clean"]) for r in row] == [(0, True)]
