"""The graft: held-out documents of one split beside the training documents of another."""

import random

import pyarrow.parquet as pq

from lmpipe.ablate.graft import graft
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.near import candidates, near, sign
from lmpipe.curate.split import split
from lmpipe.dataset import Execution
from lmpipe.settings import CleanSettings, DedupSettings, ProfileSettings, SplitSettings

ONCE = Execution()


def outcomes(manifest):
    """Read the fate of each document."""
    rows = [row for path in manifest.paths("outcomes") for row in pq.read_table(path).to_pylist()]
    return {row["id"].partition(":")[2]: (row["split"], row["outcome"], row["reason"]) for row in rows}


def test_near_duplicates_of_held_out_documents_stay_out_of_training(ingested, tmp_path):
    words = ["".join(random.Random(n).sample("abcdefghijklmnopqrstuvwxyz", 6)) for n in range(400)]
    texts = [" ".join(random.Random(n).sample(words, 60)) for n in range(6)]
    texts[1] = texts[0].rsplit(" ", 1)[0]  # the shorter of two near duplicates; the longer is held out
    settings, held = DedupSettings(), SplitSettings(valid=0.0, test=0.0, given={"local:0": "test", "local:5": "valid"})
    cleaned = clean(ingested(texts), tmp_path, CleanSettings(), ONCE)
    decided = decide(cleaned, tmp_path, ProfileSettings(name="none"), ONCE)
    exact = dedup([decided], "demo", tmp_path, settings, ONCE)
    signed = [sign(decided, tmp_path, settings, ONCE)]
    alike = near(exact, signed, candidates(exact, signed, tmp_path, settings, ONCE), tmp_path, settings, ONCE)
    standing = split(alike, tmp_path, held, 1, ONCE)
    assert outcomes(standing)["1"][1] == "duplicate"
    without_near = SplitSettings(valid=0.0, test=0.0, given={"local:0": "test", "local:4": "test"})
    own = split(exact, tmp_path, without_near, 1, ONCE)
    assert outcomes(own)["1"][0] == "train"
    assert outcomes(graft(standing, own, "demo-without", tmp_path, ONCE)) == {
        "0": ("test", "kept", None),
        "1": (None, "dropped", "ablated.like_held_out"),
        "2": ("train", "kept", None),
        "3": ("train", "kept", None),
        "4": (None, "dropped", "ablated.held_out"),
        "5": ("valid", "kept", None),
    }
