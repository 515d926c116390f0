"""Hugging Face: the same logits there and here, whichever way a model goes."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from apply.runs import (
    LSTM,
    SMALL_GPT2,
    TEXTS,
    TRANSFORMER,
    VOCABULARY,
    end_of_text,
    random_run,
    text_tokens,
    tokenizer_json,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from train.token_dataset import small_settings

from lmpipe.apply.decoding import Decoding
from lmpipe.apply.exporting import architecture, export_run
from lmpipe.apply.generate import open_model
from lmpipe.apply.importing import import_folder
from lmpipe.dataset import Execution
from lmpipe.errors import InputError, TrainingError
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.settings import EvaluateSettings, Model
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.session import begin

IDS = torch.tensor([[5, 9, 250, 7, 1, 31, 200, 44], [3, 3, 2, 1, 299, 0, 8, 8]])
RMS = replace(TRANSFORMER, logit_cap=None, qk_norm=False, embedding_norm=False)
LAYER = replace(RMS, norm="layer", mlp="gelu")

STOCK: dict[str, Model] = {
    "gpt2": SMALL_GPT2,
    "gpt2, relu2, untied, no biases": replace(SMALL_GPT2, mlp="relu2", tied=False, bias=False),
    "gpt_neox": replace(LAYER, bias=True),
    "gpt_neox, normalised embedding": replace(LAYER, embedding_norm=True, mlp="relu2"),
    "llama": replace(RMS, mlp="swiglu"),
    "llama, biases, normalised embedding": replace(RMS, mlp="swiglu", bias=True, embedding_norm=True),
    "arcee": RMS,
    "arcee, gelu, untied": replace(RMS, mlp="gelu", tied=False, bias=True),
    "qwen3": replace(RMS, mlp="swiglu", qk_norm=True, embedding_norm=True),
    "nanochat": TRANSFORMER,
    "nanochat, untied, uncapped": replace(TRANSFORMER, tied=False, logit_cap=None, mlp="gelu"),
}


@torch.no_grad()
def our_logits(run: Path) -> Tensor:
    return open_model(run).model(IDS)


def hf_folder(tmp_path: Path, **changes: object) -> Path:
    """Export a small GPT-2 of ours as a folder that we then import; transformers writes the same names (tested)."""
    export_run(random_run(tmp_path / "own", SMALL_GPT2), tmp_path / "hf")
    edit_json(tmp_path / "hf" / "config.json", changes)
    return tmp_path / "hf"


def edit_json(path: Path, changes: Mapping[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_exported_gpt2_comes_home_with_the_same_logits(tmp_path: Path) -> None:
    run = import_folder(hf_folder(tmp_path), tmp_path)
    (own,) = (tmp_path / "own" / "runs").iterdir()
    assert torch.equal(our_logits(run), our_logits(own))
    assert import_folder(tmp_path / "hf", tmp_path) == run


def test_weights_in_pieces_and_a_vocabulary_with_merges_are_read(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path)
    whole = import_folder(folder, tmp_path)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    pieces = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for piece, some in pieces.items():
        save_file(
            {name.removeprefix("transformer."): weights[name].bfloat16().float() for name in some}, folder / piece
        )
    weight_map = {name: piece for piece, some in pieces.items() for name in some}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    body = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(body["vocab"]), encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in body["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges), encoding="utf-8")
    again = import_folder(folder, tmp_path)
    torch.testing.assert_close(our_logits(again), our_logits(whole), atol=0.1, rtol=0.1)
    assert open_model(again).encode(TEXTS[2]) == open_model(whole).encode(TEXTS[2])


def break_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-64])


def forget_a_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if ".h.1." not in k}, folder / "model.safetensors")


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (lambda f: (f / "config.json").unlink(), "config.json: not found"),
    (lambda f: edit_json(f / "config.json", {"model_type": "llama"}), "expected model_type gpt2, found 'llama'"),
    (lambda f: edit_json(f / "config.json", {"activation_function": "relu"}), "activation_function.*not plain GPT-2"),
    (
        lambda f: edit_json(f / "config.json", {"vocab_size": 290}),
        "a tokenizer of 300 tokens, but config.json says 290",
    ),
    (lambda f: edit_json(f / "config.json", {"vocab_size": 310}), "head_VW: expected shape .310, 16."),
    (lambda f: edit_json(f / "config.json", {"n_layer": 3}), "incomplete or belong to another model"),
    (break_weights, "not readable as safetensors"),
    (forget_a_layer, "blocks.1.*found None"),
    (lambda f: (f / "model.safetensors").unlink(), "found neither"),
    (lambda f: (f / "tokenizer.json").unlink(), "no such file, and no folder with tokenizer.json"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN)
def test_half_a_folder_gets_one_clear_error(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    folder = hf_folder(tmp_path)
    harm(folder)
    with pytest.raises(InputError, match=message):
        import_folder(folder, tmp_path)


def test_an_index_may_not_point_out_of_its_folder(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path)
    shutil.copy(folder / "model.safetensors", tmp_path / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(InputError, match="Download the missing piece"):
        import_folder(folder, tmp_path)


def test_an_imported_model_is_evaluated_on_tokens_of_its_tokenizer(tmp_path: Path) -> None:
    run = import_folder(hf_folder(tmp_path), tmp_path, tokens=text_tokens(tmp_path))
    manifest = evaluate(run, EvaluateSettings(context=32), tmp_path, Execution())
    assert manifest.counts["documents"] == len(TEXTS)


def fine_tuned(tmp_path: Path, model: Model = SMALL_GPT2, **changes: Any) -> Path:
    """Prepare a training that starts from an imported model."""
    source = import_folder(hf_folder(tmp_path), tmp_path)
    settings = small_settings(model, init=source.name, context=32, **changes)
    return prepare_run(text_tokens(tmp_path), settings, "tuned", tmp_path)


def test_a_training_starts_from_the_weights_that_init_names(tmp_path: Path) -> None:
    run = fine_tuned(tmp_path, replace(SMALL_GPT2, dropout=0.1))
    training = begin(load_run(run), Ranks(rank=0, size=1, device=torch.device("cpu")), lambda: None)
    (source,) = (path for path in (tmp_path / "runs").iterdir() if path != run)
    with torch.no_grad():
        assert torch.equal(training.model.eval()(IDS), our_logits(source))


def test_the_weights_are_part_of_the_identity_and_their_place_is_not(tmp_path: Path) -> None:
    run = load_run(fine_tuned(tmp_path))
    (source,) = (path for path in (tmp_path / "runs").iterdir() if path != run.folder)
    source.rename(source.with_name("elsewhere"))
    moved = small_settings(SMALL_GPT2, init="elsewhere", context=32)
    fresh = small_settings(SMALL_GPT2, context=32)
    tokens = text_tokens(tmp_path)
    assert load_run(prepare_run(tokens, moved, "tuned", tmp_path)).fingerprint == run.fingerprint
    assert load_run(prepare_run(tokens, fresh, "tuned", tmp_path)).fingerprint != run.fingerprint


def test_a_start_from_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="its model has mlp = 'gelu', the recipe says 'relu2'"):
        fine_tuned(tmp_path, replace(SMALL_GPT2, mlp="relu2"))


REFUSED: list[tuple[Model, str]] = [
    (LSTM, "an LSTM"),
    (replace(TRANSFORMER, value_embeddings=True), "value embeddings"),
    (replace(SMALL_GPT2, norm="rms"), "learned positions with RMSNorm"),
    (replace(SMALL_GPT2, embedding_norm=True), "a normalised embedding"),
    (replace(LAYER, qk_norm=True), "LayerNorm with normalised queries"),
    (replace(RMS, logit_cap=30.0), "a logit cap with mlp relu2"),
    (replace(TRANSFORMER, embedding_norm=False), "without embedding_norm"),
    (replace(TRANSFORMER, bias=True), "with biases"),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED)
def test_a_model_without_stock_architecture_is_refused_with_the_reason(model: Model, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        architecture(model, Path("run"))


@pytest.mark.parametrize("name", STOCK)
def test_each_family_is_found(name: str) -> None:
    assert architecture(STOCK[name], Path()) == name.split(",")[0]


@pytest.fixture(scope="module")
def transformers() -> Any:
    """The yardstick; it is in the environment of the benchmarks."""
    return pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[bench]'")


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # what transformers warns of is not ours to mend
@pytest.mark.parametrize("name", STOCK)
def test_transformers_loads_what_we_export_with_equal_logits(tmp_path: Path, transformers: Any, name: str) -> None:
    run = random_run(tmp_path, STOCK[name])
    export_run(run, tmp_path / "hf")
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", trust_remote_code=False, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(model.eval()(IDS).logits, our_logits(run), atol=1e-4, rtol=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer(TEXTS[2])["input_ids"] == open_model(run).encode(TEXTS[2])[1:]


def saved_by_transformers(tmp_path: Path, transformers: Any) -> tuple[Path, Any]:
    """A randomly initialised GPT-2, saved by transformers, with its tokenizer."""
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=end_of_text(),
        eos_token_id=end_of_text(), initializer_range=0.3,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path / "theirs", max_shard_size="40KB")
    (tmp_path / "theirs" / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    return tmp_path / "theirs", model


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_a_gpt2_saved_by_transformers_has_equal_logits_and_writes_the_same(tmp_path: Path, transformers: Any) -> None:
    folder, theirs = saved_by_transformers(tmp_path, transformers)
    assert len(list(folder.glob("*.safetensors"))) > 1
    writer = open_model(import_folder(folder, tmp_path))
    torch.testing.assert_close(theirs(IDS).logits, writer.model(IDS), atol=1e-4, rtol=0)
    for beams, penalty in ((1, 1.0), (4, 0.5)):
        decoding = Decoding(
            temperature=None, max_tokens=16, beams=beams, repetition_penalty=1.2, length_penalty=penalty
        )
        for row, written in zip(IDS.tolist(), writer.write_all(IDS.tolist(), decoding), strict=True):
            expected = theirs.generate(
                torch.tensor([row]), max_new_tokens=16, do_sample=False, num_beams=beams, length_penalty=penalty,
                repetition_penalty=1.2, pad_token_id=0, attention_mask=torch.ones(1, len(row), dtype=torch.long),
            )  # fmt: skip
            assert list(written.ids) == expected[0, len(row) :].tolist()


def test_export_over_what_is_there_is_refused(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path)
    with pytest.raises(InputError, match="is there already"):
        export_run(random_run(tmp_path), folder)
    assert math.isfinite((folder / "config.json").stat().st_size)
