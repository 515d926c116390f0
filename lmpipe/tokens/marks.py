"""Turn the texts between which a training learns into token ids: the training process itself has no tokenizer."""

from pathlib import Path

from tokenizers import Tokenizer

from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.settings import TrainSettings
from lmpipe.tokens.encode import load_encoder
from lmpipe.train.run import TOKENIZER, Marks


def marks_of(tokens: Manifest, settings: TrainSettings) -> Marks | None:
    """Encode learn_after and learn_until as the documents were encoded; None where every token is learnt.

    Raises InputError when the tokenizer cannot write one of them.
    """
    if settings.learn_after is None:
        return None
    (path,) = tokens.paths(TOKENIZER)
    until = mark_ids(path, "learn_until", settings.learn_until) if settings.learn_until is not None else ()
    return Marks(after=mark_ids(path, "learn_after", settings.learn_after), until=until)


def mark_ids(path: Path, key: str, text: str) -> tuple[int, ...]:
    """Encode one text; its ids have to say all of it."""
    ids = tuple(load_encoder(path)([text])[0].tolist())
    written = Tokenizer.from_file(str(path)).decode(ids, skip_special_tokens=False)
    if written != text:
        raise InputError(f"{key} = {text!r}: the tokenizer {path} makes {written!r} of it. Choose another mark.")
    return ids
