"""The tokenizer stage: learn a byte-level BPE from the training split, or take a ready tokenizer.json.

Learning is Hugging Face tokenizers' (deterministic in its input order); the sample is the training
documents whose keyed hash lies under a bound, so that it needs no sort and no memory. Byte-level
means that every byte of every text has tokens: nothing is ever out of vocabulary.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, file_input
from lmpipe.errors import InputError
from lmpipe.settings import TokenizerSettings
from lmpipe.storage import replacing
from lmpipe.tokens.corpus import CorpusShard, chosen_batches, corpus_shards

VERSION = 1
END_OF_TEXT = "<|endoftext|>"
"""Separates documents, as in GPT-2; also what the first token of a document is conditioned on."""


class TokenizerUnit(NamedTuple):
    """The one unit's arguments."""

    shards: list[CorpusShard]
    train_bytes: int
    settings: TokenizerSettings
    seed: int


def tokenizer(
    chosen: Manifest, data: Path, settings: TokenizerSettings, seed: int, base: Path, execution: Execution
) -> Manifest:
    """Make the recipe's tokenizer.json in DATA/tokenizer/<recipe>-<fingerprint8>/.

    A settings.path is relative to `base`, the recipe's folder.
    """
    if settings.path is not None:
        return adopt(base / settings.path, chosen.name, data, execution)
    wanted = {"vocabulary": settings.vocabulary, "sample_bytes": settings.sample_bytes, "seed": seed}
    plan = Plan(stage="tokenizer", name=chosen.name, version=VERSION, settings=wanted, inputs=(chosen.reference,))
    unit = TokenizerUnit(corpus_shards(chosen), chosen.counts["bytes.train"], settings, seed)
    return build(plan, data, learn, [unit], execution)


def adopt(path: Path, recipe: str, data: Path, execution: Execution) -> Manifest:
    """Take a ready tokenizer.json into a dataset of its own.

    Raises InputError when it is no tokenizer.json or has no end-of-text token.
    """
    if not path.is_file():
        raise InputError(f"tokenizer.path: {path}: no such file. Name a tokenizer.json.")
    end_of_text_id(path)
    plan = Plan(stage="tokenizer", name=recipe, version=VERSION, settings={}, inputs=(file_input(path),))
    return build(plan, data, copy_tokenizer, [path], execution)


def copy_tokenizer(path: Path, output: UnitOutput) -> None:
    """Copy a tokenizer.json into the dataset."""
    save(path.read_text(encoding="utf-8"), output)


def learn(unit: TokenizerUnit, output: UnitOutput) -> None:
    """Train the byte-level BPE with GPT-2's pre-tokenizer on the sample."""
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=unit.settings.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(sample(unit, output), trainer)
    output.count("vocabulary", model.get_vocab_size())
    save(model.to_str(pretty=False), output)


def sample(unit: TokenizerUnit, output: UnitOutput) -> Iterator[list[str]]:
    """Yield batches of training texts: all, or those whose keyed hash is under sample_bytes / train_bytes."""
    bound = min(1.0, unit.settings.sample_bytes / max(1, unit.train_bytes))
    for shard in unit.shards:
        for batch in chosen_batches(shard):
            rows = batch.select(["id", "split", "text", "bytes"]).to_pylist()
            taken = [r for r in rows if r["split"] == "train" and draw(unit.seed, r["id"]) < bound]
            output.count("documents", len(taken))
            output.count("bytes", sum(r["bytes"] for r in taken))
            yield [r["text"] for r in taken]


def draw(seed: int, document: str) -> float:
    """A number in [0, 1) that depends on nothing but seed and document."""
    key = hashlib.md5(f"tokenizer:{seed}:{document}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(key[:7], "big") / (1 << 56)


def save(text: str, output: UnitOutput) -> None:
    """Write tokenizer.json into the dataset by rename."""
    with replacing(output.folder / "tokenizer.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    output.add("tokenizer", "tokenizer.json", rows=0)


def read_tokenizer(path: Path) -> dict[str, Any]:
    """Read a tokenizer.json; raises InputError when it is none."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not a tokenizer.json ({error}). Name a file written by Hugging Face tokenizers."
        ) from None
    if not isinstance(body, dict) or "model" not in body or "vocab" not in body["model"]:
        raise InputError(
            f"{path}: expected a tokenizer.json with model.vocab. Name a file written by Hugging Face tokenizers."
        )
    return body


def end_of_text_id(path: Path) -> int:
    """Look up the id of END_OF_TEXT; raises InputError when the tokenizer has none."""
    body = read_tokenizer(path)
    ids = {token["content"]: token["id"] for token in body.get("added_tokens", [])}
    if END_OF_TEXT not in ids:
        raise InputError(
            f"{path}: has no token {END_OF_TEXT}; documents could not be told apart. Add it to added_tokens."
        )
    return int(ids[END_OF_TEXT])
