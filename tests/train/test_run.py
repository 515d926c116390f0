"""The run directory: complete, deterministic, and refused in clear words when it cannot work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from train.token_dataset import END_OF_TEXT, VOCABULARY, make_documents, small_settings, tokens_dataset

from lmpipe.errors import DatasetError, TrainingError
from lmpipe.train.run import load_run, prepare_run
from tests.damage import flip


def test_run_holds_all_it_needs_when_copied_alone(tmp_path: Path) -> None:
    run = prepare_run(tokens_dataset(tmp_path / "data"), small_settings(), "demo", tmp_path / "data")
    shutil.copytree(run, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "data")
    copied = load_run(tmp_path / "elsewhere")
    assert (copied.name, copied.vocabulary, copied.end_of_text) == ("demo-tiny", VOCABULARY, END_OF_TEXT)
    assert copied.settings == small_settings()
    names = sorted(path.name for path in (tmp_path / "elsewhere/data").iterdir())
    shards = [("test", 0), ("test", 1), ("train", 0), ("train", 1), ("valid", 0)]
    expected = [f"documents-{s}-{n:05d}.parquet" for s, n in shards] + [f"tokens-{s}-{n:05d}.arrow" for s, n in shards]
    assert names == sorted([*expected, "tokenizer.json"])


def test_data_shares_disk_blocks_when_on_one_file_system(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    run = prepare_run(tokens, small_settings(), "demo", tmp_path)
    assert (run / "data/tokenizer.json").samefile(tokens.folder / "tokenizer.json")


def test_data_is_copied_when_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    tokens = tokens_dataset(tmp_path)
    run = prepare_run(tokens, small_settings(), "demo", tmp_path)
    name = "tokens-train-00000.arrow"
    assert (run / "data" / name).read_bytes() == (tokens.folder / name).read_bytes()


def test_run_json_is_the_same_when_prepared_twice(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    run = prepare_run(tokens, small_settings(), "demo", tmp_path)
    first = (run / "run.json").read_bytes()
    assert prepare_run(tokens, small_settings(), "demo", tmp_path) == run
    assert (run / "run.json").read_bytes() == first


def test_prepare_refuses_tokens_with_a_flipped_bit(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    flip(tokens.paths("train")[0])
    with pytest.raises(DatasetError, match=r"tokens-train-00000.arrow: expected sha256 .* run its stage again"):
        prepare_run(tokens, small_settings(), "demo", tmp_path)


def test_prepare_replaces_a_damaged_file_of_the_run(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    run = prepare_run(tokens, small_settings(), "demo", tmp_path)
    path = run / "data/tokens-train-00000.arrow"
    path.unlink()
    path.write_bytes(tokens.paths("train")[0].read_bytes())
    flip(path)
    prepare_run(tokens, small_settings(), "demo", tmp_path)
    assert path.read_bytes() == tokens.paths("train")[0].read_bytes()


def test_a_training_refuses_tokens_with_a_flipped_bit(tmp_path: Path) -> None:
    run = prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path)
    flip(run / "data/tokens-train-00000.arrow")
    told = subprocess.run([sys.executable, "-m", "lmpipe.train", str(run)], capture_output=True, text=True)
    assert told.returncode == 1
    assert "tokens-train-00000.arrow: expected sha256" in told.stderr


def test_run_is_another_when_a_setting_differs(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    runs = {prepare_run(tokens, small_settings(seed=seed), "demo", tmp_path) for seed in (1, 2)}
    assert len(runs) == 2


def test_prepare_refuses_when_there_is_no_training_text(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path, {"test": [make_documents(3, 1)]})
    with pytest.raises(TrainingError, match="expected training tokens, found none"):
        prepare_run(tokens, small_settings(), "demo", tmp_path)


def test_prepare_refuses_when_the_context_is_longer_than_the_text(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path, {"train": [[[1, 2, 3]]]})
    with pytest.raises(TrainingError, match="context of 4 needs more training tokens than that, found 4"):
        prepare_run(tokens, small_settings(context=4), "demo", tmp_path)
    assert not (tmp_path / "runs").exists()


def test_prepare_refuses_when_end_of_text_is_outside_the_vocabulary(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path, vocabulary=60)
    with pytest.raises(TrainingError, match="vocabulary 60 and end_of_text 60"):
        prepare_run(tokens, small_settings(), "demo", tmp_path)


def test_load_refuses_when_a_file_was_not_copied(tmp_path: Path) -> None:
    run = prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path)
    (run / "data/tokens-train-00001.arrow").unlink()
    with pytest.raises(TrainingError, match=r"tokens-train-00001\.arrow: expected \d+ bytes, found no file"):
        load_run(run)


def test_load_refuses_when_the_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no run\.json"):
        load_run(tmp_path)


def test_load_refuses_when_the_format_is_another(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(TrainingError, match="expected format 1"):
        load_run(tmp_path)
