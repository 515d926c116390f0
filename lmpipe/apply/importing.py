"""Make a run directory from a GPT-2 in Hugging Face's form, so that everything that takes a run takes it.

    DATA/download/<name>-<fingerprint8>/  what came from the hub, if it did: repository and commit in its manifest
    DATA/imports/<name>-<fingerprint8>/   the tokenizer, and which files the model was made from
    DATA/runs/<name>-<fingerprint8>/      the run: its one checkpoint holds the weights

The folder holds config.json, model.safetensors (or its pieces and model.safetensors.index.json), and tokenizer.json or
a vocabulary with merges. Pickled weights are not read: they could run code.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lmpipe.dataset import Execution, Manifest, Plan, build, settings_dict
from lmpipe.errors import InputError
from lmpipe.settings import TrainSettings, TransformerSettings
from lmpipe.settings.models import GPT2
from lmpipe.sources.download.hub import INDEX, REPOSITORY, WEIGHTS, Hub, fetch_model
from lmpipe.storage import file_input, locked, storage_errors, write_json
from lmpipe.tokens.tokenizer import copy_tokenizer, parse_tokenizer, token_ids, tokenizer_files, tokenizer_text
from lmpipe.tokens.tokenizer import vocabulary as vocabulary_of
from lmpipe.train.checkpoint import find_checkpoint, save_checkpoint
from lmpipe.train.model import build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import ROLES, TOKENIZER, VERSION, description, link, load_run

END_OF_TEXT = "<|endoftext|>"
"""GPT-2's closing token, where config.json names none."""

STOCK = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
"""Switches of GPT2Config and the values under which it is our GPT-2."""


def import_model(
    model: str,
    data: Path,
    name: str | None = None,
    tokens: Manifest | None = None,
    revision: str = "main",
    hub: Hub = Hub(),  # noqa: B008 (frozen)
) -> Path:
    """Make the run directory of a GPT-2 in a folder, or, where there is no such folder, of that name on the hub.

    Raises InputError as import_folder does, and for a name that is none or not on the hub; DownloadError when the hub
    cannot be reached.
    """
    if Path(model).is_dir():
        return import_folder(Path(model), data, name, tokens)
    if REPOSITORY.fullmatch(model) is None:
        raise InputError(f"{model}: no such folder, and no name of a model on the hub. Correct it.")
    fetched = fetch_model(model, revision, "gpt2", hub, data, Execution())
    return import_folder(fetched.folder, data, name or fetched.name, tokens, fetched)


def import_folder(
    folder: Path, data: Path, name: str | None = None, tokens: Manifest | None = None, origin: Manifest | None = None
) -> Path:
    """Make the run directory of a Hugging Face folder's GPT-2, and return it.

    With `tokens`, a dataset that was encoded by the same tokenizer, its held-out documents can be evaluated; `origin`
    is the dataset that the folder is. Raises InputError for a folder that holds no GPT-2, half of one, or one whose
    tokenizer does not fit.
    """
    config = read_config(folder)
    model = gpt2_settings(config, folder / "config.json")
    text, end = read_vocabulary(folder, config)
    settings = TrainSettings(
        name=name or folder.resolve().name, model=model, context=int(config["n_positions"]), steps=0
    )
    facts = {"vocabulary": config["vocab_size"], "end_of_text": end, "model": settings_dict(model)}
    read = [folder / "config.json", *weight_files(folder), *tokenizer_files(folder)]
    inputs = (*map(file_input, read), *([origin.reference] if origin is not None else []))
    plan = Plan(stage="imports", name=settings.name, version=1, settings=facts, inputs=inputs)
    imported = build(plan, data, copy_tokenizer, [text], Execution())
    return lay_out(folder, imported, settings, data, tokens)


def lay_out(folder: Path, imported: Manifest, settings: TrainSettings, data: Path, tokens: Manifest | None) -> Path:
    """Write the run directory; run.json comes last and says that it is whole."""
    source = tokens if tokens is not None else imported
    check_same_tokenizer(imported, source)
    references = (imported.reference, *([tokens.reference] if tokens is not None else []))
    plan = Plan(stage="runs", name=settings.name, version=VERSION, settings=settings_dict(settings), inputs=references)
    run, files = plan.folder(data), tuple(shard for shard in source.shards if shard.role in ROLES)
    with storage_errors(run):
        (run / "data").mkdir(parents=True, exist_ok=True)
        with locked(run):
            if find_checkpoint(run) is None:
                weights = read_weights(folder, settings.model, imported.settings["vocabulary"])
                save_checkpoint(run, Progress(), weights, {})
            for file in files:
                link(source.folder / file.path, run / "data" / file.path)
            body = description(plan, settings.name, source, settings, files)
            body["vocabulary"] = imported.settings["vocabulary"]
            write_result(run, plan)
            write_json(run / "run.json", body)
    return load_run(run).folder


def check_same_tokenizer(imported: Manifest, tokens: Manifest) -> None:
    """Refuse tokens that another tokenizer made."""
    ours, theirs = (next(s.sha256 for s in some.shards if s.role == TOKENIZER) for some in (imported, tokens))
    if ours != theirs:
        raise InputError(
            f"{tokens.folder}: encoded by another tokenizer than {imported.name}'s. Set tokenizer.path of the recipe to"
            " the model's folder and encode again."
        )


def write_result(run: Path, plan: Plan) -> None:
    """Write what a finished training leaves: nothing was trained here."""
    checkpoint = find_checkpoint(run)
    assert checkpoint is not None, "it was just written"
    with safe_open(checkpoint.folder / WEIGHTS, framework="pt") as file:
        parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 (no mapping)
    facts = {"run": plan.name, "fingerprint": plan.fingerprint, "steps": 0, "tokens": 0, "stopped_by": "imported"}
    facts |= {"parameters": parameters, "wall_seconds": 0.0, "checkpoint_sha256": checkpoint.sha256}
    write_json(run / "result.json", facts)


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a GPT-2, with the defaults that GPT2Config has."""
    path = folder / "config.json"
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: not found. Name a folder with a Hugging Face model.") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}). Download it again.") from None
    if body.get("model_type") != "gpt2":
        raise InputError(
            f"{path}: expected model_type gpt2, found {body.get('model_type')!r}. Only GPT-2 is taken over."
        )
    defaults: dict[str, Any] = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
    return defaults | {"eos_token_id": 50256, "tie_word_embeddings": True, "n_inner": None} | body


def gpt2_settings(config: dict[str, Any], where: Path) -> TransformerSettings:
    """Translate config.json; raises InputError for a switch that our GPT-2 does not have."""
    width = config["n_embd"]
    wrong = {key: config[key] for key, good in STOCK.items() if config.get(key, good[0]) not in good}
    if config["n_inner"] not in (None, 4 * width):
        wrong["n_inner"] = config["n_inner"]
    if wrong:
        raise InputError(f"{where}: {wrong} is not plain GPT-2, which alone can be taken over.")
    shape: dict[str, Any] = GPT2 | {
        "kind": "transformer",
        "layers": config["n_layer"],
        "width": width,
        "heads": config["n_head"],
    }
    shape |= {"positions": config["n_positions"], "tied": config["tie_word_embeddings"]}
    return TransformerSettings(**shape)


def read_vocabulary(folder: Path, config: dict[str, Any]) -> tuple[str, int]:
    """Read the tokenizer; return its tokenizer.json and the id of the closing token.

    Raises InputError where the model has fewer tokens than the tokenizer, or no closing one.
    """
    files = tokenizer_files(folder)
    text = tokenizer_text(files, END_OF_TEXT)
    body = parse_tokenizer(text, files[0])
    size, ids, end = vocabulary_of(body), token_ids(body), config["eos_token_id"]
    if size > config["vocab_size"]:
        raise InputError(
            f"{files[0]}: a tokenizer of {size} tokens, but config.json says {config['vocab_size']}: they belong to"
            " different models. Take the model's own tokenizer."
        )
    if end not in ids.values():
        if END_OF_TEXT not in ids:
            raise InputError(f"{folder}: neither eos_token_id {end} nor {END_OF_TEXT} is a token. Mend config.json.")
        end = ids[END_OF_TEXT]
    return text, end


def weight_files(folder: Path) -> list[Path]:
    """List the files of weights."""
    if (folder / INDEX).is_file():
        names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        return [inside(folder, name) for name in names]
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder}: expected {WEIGHTS} or {INDEX}, found neither. Save the model with safe_serialization."
        )
    return [folder / WEIGHTS]


def inside(folder: Path, name: str) -> Path:
    """Find a piece of the weights; an index may not point out of its folder."""
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise InputError(f"{folder / INDEX}: names {name!r}, which is not in the folder. Download the missing piece.")
    return path


def read_weights(folder: Path, settings: Any, vocabulary: int) -> dict[str, Tensor]:
    """Read GPT-2's tensors under our names, float32; raises InputError where one is missing or of another shape."""
    with torch.device("meta"):
        model = build_model(settings, vocabulary)
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {name: tensor for key, tensor in tensors(folder) if (name := our_name(key)) is not None}
    if settings.tied:  # one matrix under torch's first name for it; some tools write it twice
        found["head_VW"] = found.pop("embedding.weight")
    for name in wanted.keys() | found.keys():
        shape = tuple(found[name].t().shape if is_map(name) else found[name].shape) if name in found else None
        if shape != wanted.get(name):
            raise InputError(
                f"{folder}: {name}: expected shape {wanted.get(name)} by config.json, found {shape}. The weights are"
                " incomplete or belong to another model."
            )
    # GPT-2's Conv1D keeps its matrices as (inputs, outputs), a linear map as (outputs, inputs).
    return {name: (tensor.t() if is_map(name) else tensor).float().contiguous() for name, tensor in found.items()}


def tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Read all tensors of a folder."""
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (no mapping)
                    yield key, file.get_tensor(key)
        except SafetensorError as error:
            raise InputError(f"{path}: not readable as safetensors ({error}). Download it again.") from None


PARTS = {
    "wte.weight": "embedding.weight",
    "wpe.weight": "positions.weight",
    "lm_head.weight": "head_VW",
    "ln_f": "output_norm",
    "ln_1": "attention_norm",
    "ln_2": "mlp_norm",
    "attn.c_attn": "attention.attention_in",
    "attn.c_proj": "attention.attention_out",
    "mlp.c_fc": "mlp.mlp_in",
    "mlp.c_proj": "mlp.mlp_out",
}
"""GPT-2's names, and ours."""


def is_map(name: str) -> bool:
    """Say whether a tensor is the matrix of a linear map within a block."""
    return name.endswith(("_in.weight", "_out.weight"))


def our_name(key: str) -> str | None:
    """Translate a tensor's name; None for the masks that older files hold. An unknown name stays, and is refused."""
    key = key.removeprefix("transformer.")
    if key.endswith((".attn.bias", ".attn.masked_bias")):
        return None
    if key in PARTS:
        return PARTS[key]
    before, _, last = key.rpartition(".")
    if before in PARTS:
        return f"{PARTS[before]}.{last}"
    number, _, part = before.removeprefix("h.").partition(".")
    return f"blocks.{number}.{PARTS[part]}.{last}" if part in PARTS else key
