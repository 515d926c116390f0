"""Learn a tokenizer from a sample of texts: byte-level BPE, byte-level Unigram, characters or words.

Each function returns the text of a tokenizer.json that Hugging Face tokenizers reads, and depends on nothing
but its texts and settings: tokenizers' own Unigram trainer gives another vocabulary at every run (seen with one
thread, 2026-11-25), so SentencePiece learns that one, from counted words in sorted order and in one thread.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lmpipe.settings import TokenizerSettings

UNKNOWN = "<unk>"
"""Stands for what a closed vocabulary does not hold; Penn Treebank and WikiText write it so."""

PIECE_BYTES = 32
"""Longest Unigram piece, ten Chinese characters; SentencePiece's 16 would be five."""

Texts = Iterable[list[str]]
"""Batches of texts."""


def learn_tokenizer(texts: Texts, settings: TokenizerSettings) -> str:
    """Learn the kind that the settings name; returns its tokenizer.json."""
    learners: dict[str, Callable[[Texts, TokenizerSettings], Tokenizer]] = {
        "bpe": learn_bpe,
        "unigram": learn_unigram,
        "char": learn_characters,
        "word": learn_words,
    }
    text: str = learners[settings.kind](texts, settings).to_str(pretty=False)
    return text


def alphabet() -> list[str]:
    """List the 256 characters that stand for bytes, sorted."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_level(model: models.Model) -> Tokenizer:
    """Put GPT-2's pre-tokenizer before a model: every byte of every text has a token."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def learn_bpe(texts: Texts, settings: TokenizerSettings) -> Tokenizer:
    """Learn byte-level BPE (Sennrich et al. 2016; bytes: Radford et al. 2019)."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[settings.end_of_text],
        initial_alphabet=alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def learn_unigram(texts: Texts, settings: TokenizerSettings) -> Tokenizer:
    """Learn a byte-level Unigram model (Kudo 2018); a small corpus may give fewer tokens than asked for."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    counts = Counter(alphabet())  # once each, so that no byte is left out
    for batch in texts:
        for text in batch:
            counts.update(word for word, _ in split(text))
    proto = train_sentencepiece(counts, settings.vocabulary)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=proto)
    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(1, pieces.get_piece_size())]
    tokenizer = byte_level(models.Unigram([(settings.end_of_text, 0.0), *scored], unk_id=0))
    tokenizer.add_special_tokens([settings.end_of_text])
    return tokenizer


def train_sentencepiece(counts: Counter[str], vocabulary: int) -> bytes:
    """Train SentencePiece on counted words without any rewriting of its own; returns its model file."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{number}" for word, number in sorted(counts.items())),
        input_format="tsv",
        model_writer=model,
        model_type="unigram",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentencepiece_length=PIECE_BYTES,
        max_sentence_length=1 << 30,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_unicode_script=False,
        split_by_number=False,
        split_by_whitespace=False,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def learn_characters(texts: Texts, settings: TokenizerSettings) -> Tokenizer:
    """Take the most frequent characters; all others become <unk>."""
    tokenizer = closed_vocabulary(Counter(c for batch in texts for text in batch for c in text), settings)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def learn_words(texts: Texts, settings: TokenizerSettings) -> Tokenizer:
    """Take the most frequent words between white space; each end of line is an end-of-text token.

    It is the protocol of Penn Treebank and WikiText: with end_of_text = "<eos>" a file that is one document
    has as many tokens as words and lines.
    """
    tokenizer = closed_vocabulary(Counter(words(texts)), settings)
    tokenizer.normalizer = normalizers.Replace("\n", f" {settings.end_of_text} ")
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def words(texts: Texts) -> Iterator[str]:
    """Yield the words of all texts."""
    return (word for batch in texts for text in batch for word in text.split())


def closed_vocabulary(counts: Counter[str], settings: TokenizerSettings) -> Tokenizer:
    """Number the end of text, <unk>, then the most frequent units, those of equal number in code point order."""
    reserved = [settings.end_of_text, UNKNOWN]
    ranked = sorted(counts.keys() - set(reserved), key=lambda unit: (-counts[unit], unit))
    vocabulary = [*reserved, *ranked][: settings.vocabulary]
    tokenizer = Tokenizer(models.WordLevel({unit: i for i, unit in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.add_special_tokens([settings.end_of_text])
    return tokenizer
