"""The tokenizer stage: learn a tokenizer from a sample of the training split, or take a ready one.

A document is in the sample when its keyed hash lies under its source's bound, so that the sample needs no sort
and no memory. Whatever the kind, the dataset holds one tokenizer.json that Hugging Face tokenizers reads.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import models

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, settings_dict
from lmpipe.errors import InputError
from lmpipe.settings import TokenizerSettings
from lmpipe.storage import file_inputs, replacing
from lmpipe.tokens.corpus import CorpusShard, chosen_batches, corpus_shards
from lmpipe.tokens.learn import byte_level, learn_tokenizer

VERSION = 2
PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
"""How Hugging Face and OpenAI name the two files of a byte-level BPE."""


class TokenizerUnit(NamedTuple):
    """The one unit's arguments."""

    shards: list[CorpusShard]
    expected: dict[str, float]
    """How often a document of each source is in the sample, on average."""
    settings: TokenizerSettings
    seed: int


def tokenizer(
    chosen: Manifest, data: Path, settings: TokenizerSettings, seed: int, base: Path, execution: Execution
) -> Manifest:
    """Make the recipe's tokenizer.json in DATA/tokenizer/<recipe>-<fingerprint8>/.

    A settings.path is relative to `base`, the recipe's folder.
    """
    if settings.path is not None:
        return adopt(base / settings.path, settings.end_of_text, chosen.name, data, execution)
    wanted = settings_dict(settings) | {"seed": seed}
    plan = Plan(stage="tokenizer", name=chosen.name, version=VERSION, settings=wanted, inputs=(chosen.reference,))
    unit = TokenizerUnit(corpus_shards(chosen), expected_copies(chosen, settings), settings, seed)
    return build(plan, data, learn, [unit], execution)


def adopt(path: Path, end_of_text: str, recipe: str, data: Path, execution: Execution) -> Manifest:
    """Take a ready tokenizer into a dataset of its own: a tokenizer.json, or a folder with one or with a pair of PAIRS.

    Raises InputError when it is none, or has no end-of-text token.
    """
    files = tokenizer_files(path)
    text = tokenizer_text(files, end_of_text)
    end_of_text_id(parse_tokenizer(text, path), end_of_text, path)
    inputs = file_inputs(files)
    settings = {"end_of_text": end_of_text}
    plan = Plan(stage="tokenizer", name=recipe, version=VERSION, settings=settings, inputs=inputs)
    return build(plan, data, copy_tokenizer, [text], execution)


def tokenizer_files(path: Path) -> tuple[Path, ...]:
    """Find the one or two files of a ready tokenizer; raises InputError when there are none."""
    if path.is_file():
        return (path,)
    for names in (("tokenizer.json",), *PAIRS):
        found = tuple(path / name for name in names)
        if all(file.is_file() for file in found):
            return found
    raise InputError(
        f"tokenizer.path: {path}: no such file, and no folder with tokenizer.json, vocab.json and merges.txt, or"
        " encoder.json and vocab.bpe. Name a tokenizer.json, or such a folder."
    )


def tokenizer_text(files: tuple[Path, ...], end_of_text: str) -> str:
    """Read a tokenizer.json, or make one from a vocabulary and its merges."""
    if len(files) == 1:
        return read_text(files[0])
    ids = parse_object(read_text(files[0]), files[0])
    merges = read_merges(files[1], ids)
    made = byte_level(models.BPE(vocab=ids, merges=merges))
    if end_of_text in ids:
        made.add_special_tokens([end_of_text])
    text: str = made.to_str(pretty=False)
    return text


def read_merges(path: Path, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Read a merges file; raises InputError for a line that is no merge of two tokens into a third."""
    merges = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not {left, right, left + right} <= ids.keys():
            raise InputError(
                f"{path}: line {number}: expected two tokens of the vocabulary that make a third, found {line!r}."
                " Name the files of one tokenizer."
            )
        merges.append((left, right))
    return merges


def copy_tokenizer(text: str, output: UnitOutput) -> None:
    """Put a ready tokenizer into the dataset."""
    save(text, output)


def learn(unit: TokenizerUnit, output: UnitOutput) -> None:
    """Learn from the sample and write tokenizer.json."""
    text = learn_tokenizer(sample(unit, output), unit.settings)
    output.count("vocabulary", vocabulary(orjson.loads(text)))
    save(text, output)


def expected_copies(chosen: Manifest, settings: TokenizerSettings) -> dict[str, float]:
    """Say how often a training document of each source is in the sample on average: its weight, or less.

    The weighted sources share sample_bytes; where they are smaller than that, each weight is taken in full.
    """
    sizes = training_bytes(chosen)
    weighted = {source: settings.weights.get(source, 1.0) for source in sizes}
    total = sum(weighted[source] * size for source, size in sizes.items())
    bound = min(1.0, settings.sample_bytes / max(1.0, total))
    return {source: weight * bound for source, weight in weighted.items()}


def training_bytes(chosen: Manifest) -> dict[str, int]:
    """Sum the bytes of the training split by source."""
    sizes: dict[str, int] = {}
    for path in chosen.paths("funnel"):
        table = pq.read_table(path, columns=["source", "split", "bytes"])
        for row in table.filter(pc.equal(table["split"], "train")).to_pylist():
            sizes[row["source"]] = sizes.get(row["source"], 0) + row["bytes"]
    return dict(sorted(sizes.items()))


def sample(unit: TokenizerUnit, output: UnitOutput) -> Iterator[list[str]]:
    """Yield batches of training texts; one whose source has a weight above 1 may come several times."""
    for shard in unit.shards:
        for batch in chosen_batches(shard):
            texts = []
            for row in batch.select(["id", "source", "split", "text", "bytes"]).to_pylist():
                times = copies(unit, row)
                output.count(f"documents.{row['source']}", times)
                output.count("documents", times)
                output.count("bytes", times * row["bytes"])
                texts += [row["text"]] * times
            yield texts


def copies(unit: TokenizerUnit, row: Mapping[str, Any]) -> int:
    """Count how often a document is in the sample; its share above whole numbers is drawn by hash."""
    if row["split"] != "train":
        return 0
    whole, share = divmod(unit.expected[row["source"]], 1)
    return int(whole) + (draw(unit.seed, row["id"]) < share)


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
    return parse_tokenizer(read_text(path), path)


def parse_tokenizer(text: str, path: Path) -> dict[str, Any]:
    """Parse a tokenizer.json that was read from `path`; raises InputError when it is none."""
    body = parse_object(text, path)
    if not isinstance(body.get("model"), dict) or "vocab" not in body["model"]:
        raise InputError(
            f"{path}: expected a tokenizer.json with model.vocab. Name a file written by Hugging Face tokenizers."
        )
    return body


def parse_object(text: str, path: Path) -> dict[str, Any]:
    """Parse a JSON object; raises InputError when it is none."""
    try:
        body = orjson.loads(text)
    except ValueError as error:
        raise InputError(
            f"{path}: not a tokenizer.json ({error}). Name a file written by Hugging Face tokenizers."
        ) from None
    if not isinstance(body, dict):
        raise InputError(
            f"{path}: expected a tokenizer.json with model.vocab. Name a file written by Hugging Face tokenizers."
        )
    return body


def read_text(path: Path) -> str:
    """Read UTF-8; raises InputError when it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a tokenizer.json ({error}). Name a file written by Hugging Face tokenizers."
        ) from None


def token_ids(body: dict[str, Any]) -> dict[str, int]:
    """Map every token of a tokenizer.json to its id; Unigram lists its tokens, the others name their ids."""
    listed = body["model"]["vocab"]
    ids = {piece: i for i, (piece, _) in enumerate(listed)} if isinstance(listed, list) else dict(listed)
    return ids | {token["content"]: token["id"] for token in body.get("added_tokens", [])}


def vocabulary(body: dict[str, Any]) -> int:
    """Number of token ids: one more than the largest."""
    return 1 + max(token_ids(body).values())


def end_of_text_id(body: dict[str, Any], end_of_text: str, path: Path) -> int:
    """Look up the id of the token that closes documents; raises InputError when the tokenizer has none."""
    ids = token_ids(body)
    if end_of_text not in ids:
        special = [token["content"] for token in body.get("added_tokens", []) if token.get("special")]
        raise InputError(
            f"{path}: has no token {end_of_text}; documents could not be told apart."
            f" Set tokenizer.end_of_text to one of its special tokens: {special}."
        )
    return ids[end_of_text]
