"""The quality model: learns what tells two corpora apart, holds out what it is judged on, reads back what it wrote."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmpipe.curate.quality import Example, auc, features, fit, held_out, load, train
from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from tests.conftest import Ingested

GOOD = "the river ran past old mill where two brothers had worked since their father died and nobody came"
BAD = "buy cheap click here now free offer best price online shop discount login sign up cookies accept deal"
CHINESE_GOOD, CHINESE_BAD = "山路河水春天故事老人孩子回家月光", "点击购买优惠立即下载注册登录免费广告"


def texts(words: str, seed: int, number: int = 150) -> list[str]:
    """Random texts of one kind of words, but for a third of them that are of either kind."""
    draw = random.Random(seed)
    own, both = (words.split(), f"{GOOD} {BAD}".split()) if " " in words else ([*words], [*CHINESE_GOOD, *CHINESE_BAD])
    joint = " " if " " in words else ""
    return [joint.join(draw.choice(both if draw.random() < 0.3 else own) for _ in range(40)) for _ in range(number)]


@pytest.fixture
def sides(ingested: Ingested) -> tuple[Manifest, Manifest]:
    return ingested(texts(GOOD, 1), source="good"), ingested(texts(BAD, 2), source="bad")


def test_classifier_tells_two_kinds_of_text_apart(sides: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    model = train(*sides, tmp_path / "model.parquet")
    assert model.facts["documents"] == [150, 150]
    assert sum(model.facts["held_out"]) > 15
    assert model.facts["auc"] > 0.99
    scores = model.score([*texts(GOOD, 3, 20), *texts(BAD, 4, 20)])
    assert min(scores[:20]) > 0.5 > max(scores[20:])


def test_chinese_is_told_apart_too(ingested: Ingested, tmp_path: Path) -> None:
    good, bad = ingested(texts(CHINESE_GOOD, 1), source="good"), ingested(texts(CHINESE_BAD, 2), source="bad")
    assert train(good, bad, tmp_path / "model.parquet").facts["auc"] > 0.99


def test_corpora_of_one_kind_cannot_be_told_apart(ingested: Ingested, tmp_path: Path) -> None:
    one, other = ingested(texts(GOOD, 1, 600), source="one"), ingested(texts(GOOD, 2, 600), source="other")
    assert 0.3 < train(one, other, tmp_path / "model.parquet").facts["auc"] < 0.7


def test_model_is_read_back_and_is_the_same_bytes_again(sides: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    trained = train(*sides, first)
    train(*sides, second)
    assert first.read_bytes() == second.read_bytes()
    sample = [*texts(GOOD, 5, 5), "", "。", "x"]
    assert load(first).score(sample) == trained.score(sample)
    assert load(first).facts == trained.facts


def test_score_depends_on_nothing_but_the_text(sides: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    model = train(*sides, tmp_path / "model.parquet")
    sample = texts(GOOD, 6, 10)
    assert model.score(sample) == [model.score([text])[0] for text in sample]


def test_documents_are_drawn_by_hash_and_not_by_position(sides: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    model = train(*sides, tmp_path / "model.parquet", documents=60)
    assert model.facts["documents"] == [60, 60]


def test_features_are_of_unit_length_and_stable() -> None:
    found = features("A mill, a mill.")
    assert float((found.values**2).sum()) == pytest.approx(1)
    assert len(found.buckets) == 8  # four words and marks, four pairs of them
    assert found.buckets.tolist() == features("a MILL, a mill.").buckets.tolist()
    assert found.buckets.tolist()[:2] == [8980, 46271]  # a model of another run or machine has the same buckets
    assert len(features(" \n").buckets) == 0


def test_auc_counts_pairs_and_ties_half() -> None:
    good = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.8, 0.2, 0.1]), good) == 1
    assert auc(np.array([0.1, 0.2, 0.8, 0.9]), good) == 0
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), good) == 0.5
    assert auc(np.array([0.9, 0.2, 0.5, 0.1]), good) == 0.75
    assert auc(np.array([0.9]), np.array([True])) is None


def test_held_out_documents_are_a_tenth() -> None:
    import hashlib

    keys = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(4000)]
    assert 320 < sum(map(held_out, keys)) < 480


def test_one_sided_training_is_refused() -> None:
    with pytest.raises(InputError, match="on both sides"):
        fit([Example("0", True, features("a b"))])


@pytest.mark.parametrize(("name", "words"), [("none.parquet", "no such quality model"), ("text", "found no Parquet")])
def test_file_that_is_no_model_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "text").write_text("words")
    with pytest.raises(InputError, match=words):
        load(tmp_path / name)


def test_model_of_another_version_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"weight": [0.0]}), tmp_path / "old.parquet")
    with pytest.raises(InputError, match="expected a quality model of version 1, found None"):
        load(tmp_path / "old.parquet")
