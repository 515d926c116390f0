"""The tokenizer: learnt from the training split alone, the same at every run, or taken as it is."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from lmpipe.errors import InputError
from lmpipe.settings import TokenizerSettings
from lmpipe.tokens.encode import load_encoder, reference_encoder
from lmpipe.tokens.learn import learn_tokenizer
from lmpipe.tokens.tokenizer import vocabulary
from tests.conftest import ROOT, Ingested
from tests.tokens.chosen import CHINESE, OTHERS, TEXTS, choose, index, learn, packed

HELD_OUT = "Nobody living there had ever said 一共 to a lamp; 🦊 ran, \x00 too."


def test_tokenizer_learns_from_training_documents_only(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    manifest = learn(chosen, tmp_path)
    assert manifest.counts["documents"] == chosen.counts["train.local"]
    assert manifest.counts["bytes"] == chosen.counts["bytes.train"]


def test_tokenizer_sample_is_bounded(ingested: Ingested, tmp_path: Path) -> None:
    manifest = learn(choose(tmp_path, ingested(TEXTS)), tmp_path, sample_bytes=3000)
    assert 0 < manifest.counts["bytes"] < 6000


def test_weights_shift_the_sample_between_sources(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS), ingested(OTHERS, source="other"))
    manifest = learn(chosen, tmp_path, weights={"local": 0, "other": 2.5})
    assert manifest.counts["documents.local"] == 0
    assert 2.2 < manifest.counts["documents.other"] / chosen.counts["train.other"] < 2.8


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_byte_level_tokenizer_restores_any_text(kind: str) -> None:
    text = learn_tokenizer([TEXTS], TokenizerSettings(kind=kind, vocabulary=400))  # type: ignore[arg-type]
    tokenizer = Tokenizer.from_str(text)
    assert vocabulary(json.loads(text)) <= 400
    assert tokenizer.decode(tokenizer.encode(HELD_OUT).ids) == HELD_OUT


def test_characters_beyond_the_vocabulary_are_unknown() -> None:
    tokenizer = Tokenizer.from_str(learn_tokenizer([["abba\nca"]], TokenizerSettings(kind="char", vocabulary=5)))
    assert tokenizer.get_vocab() == {"<|endoftext|>": 0, "<unk>": 1, "a": 2, "b": 3, "\n": 4}
    assert tokenizer.encode("ab\nc").ids == [2, 3, 4, 1]
    assert tokenizer.decode(tokenizer.encode("ba\nab").ids) == "ba\nab"


def test_words_are_numbered_by_frequency_and_lines_end_in_a_token() -> None:
    settings = TokenizerSettings(kind="word", vocabulary=4, end_of_text="<eos>")
    tokenizer = Tokenizer.from_str(learn_tokenizer([["b a b <unk>\nb c a"]], settings))
    assert tokenizer.get_vocab() == {"<eos>": 0, "<unk>": 1, "b": 2, "a": 3}
    assert tokenizer.encode(" b c\n a ").ids == [2, 1, 0, 3]


def test_penn_treebank_has_its_known_counts(corpora: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(corpora / "benchmarks" / "ptb.zip") as archive:
        names = {n.split(".")[-2]: n for n in archive.namelist() if "/ptb." in f"/{n}"}
        texts = {part: archive.read(name).decode().strip() for part, name in names.items()}
    settings = TokenizerSettings(kind="word", vocabulary=10_000, end_of_text="<eos>")
    (tmp_path / "t.json").write_text(learn_tokenizer([[texts["train"]]], settings))
    encoder = load_encoder(tmp_path / "t.json")
    assert vocabulary(json.loads((tmp_path / "t.json").read_text())) == 10_000
    counts = {part: len(encoder([text])[0]) + 1 for part, text in texts.items()}  # 1: the end of the document
    assert counts == {"train": 929_589, "valid": 73_760, "test": 82_430}


LEARN = """
import sys
from lmpipe.settings import TokenizerSettings
from lmpipe.storage import digest
from lmpipe.tokens.learn import learn_tokenizer
from tests.tokens.chosen import TEXTS
print(digest([learn_tokenizer([TEXTS], TokenizerSettings(kind=k, vocabulary=600)) for k in sys.argv[1:]]))
"""


def test_tokenizer_is_the_same_in_any_process_with_any_number_of_threads() -> None:
    command = [sys.executable, "-c", LEARN, "bpe", "unigram", "char", "word"]
    found = {
        subprocess.run(
            command,
            env={"RAYON_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(found) == 1


def test_ready_tokenizer_is_taken_as_it_is(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    path = learn(chosen, tmp_path).paths("tokenizer")[0]
    (tmp_path / "mine.json").write_bytes(path.read_bytes())
    assert learn(chosen, tmp_path, path="mine.json").paths("tokenizer")[0].read_bytes() == path.read_bytes()


def test_gpt2_from_vocabulary_and_merges_equals_its_tokenizer_json(
    corpora: Path, ingested: Ingested, tmp_path: Path
) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    made = learn(chosen, tmp_path, path=str(corpora / "tokenizers" / "gpt2"))
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / name).write_bytes((corpora / "tokenizers" / "gpt2" / name).read_bytes())
    paired = learn(chosen, tmp_path, path=".")
    encoders = [load_encoder(manifest.paths("tokenizer")[0]) for manifest in (made, paired)]
    encoders.append(reference_encoder(Tokenizer.from_file(str(made.paths("tokenizer")[0]))))
    assert len({tuple(encoder([HELD_OUT, *TEXTS])[0].tolist()) for encoder in encoders}) == 1
    assert packed(chosen, tmp_path, learnt=paired).settings["end_of_text"] == 50_256


def broken_merges(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"a": 0, "b": 1, "<|endoftext|>": 2}')
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")


def body_of(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "tokenizer.json").write_text(text) and None


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: None, "no such file"),
        (body_of("not json"), "not a tokenizer.json"),
        (body_of("[]"), "expected a tokenizer.json with model.vocab"),
        (body_of('{"model": {"vocab": {"a": 0}}}'), r"has no token <\|endoftext\|>.*tokenizer.end_of_text"),
        (broken_merges, "line 2: expected two tokens of the vocabulary that make a third, found 'a b'"),
    ],
)
def test_unusable_tokenizer_is_refused(
    ingested: Ingested, tmp_path: Path, write: Callable[[Path], None], words: str
) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine")
    with pytest.raises(InputError, match=words):
        learn(chosen, tmp_path, path="mine")


def test_compression_is_recorded_by_source_and_language(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(choose(tmp_path, ingested(TEXTS), ingested(CHINESE, source="zh", lang="zh")), tmp_path)
    for source, lang in (("local", "en"), ("zh", "zh")):
        rows = [row for part in ("train", "valid", "test") for row in index(manifest, part) if row["source"] == source]
        stats = [row for path in manifest.paths("token_stats") for row in pq.read_table(path).to_pylist()]
        stats = [row for row in stats if (row["source"], row["lang"]) == (source, lang)]
        for sums in ("bytes", "words"):
            assert sum(row[sums] for row in stats) == sum(row[sums] for row in rows) > 0
        assert sum(row["tokens"] for row in stats) == sum(row["length"] for row in rows)
