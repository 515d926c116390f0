"""MinHash signatures: ours against datatrove's, one core, the same real documents, English and Chinese.

python -m tests.bench.minhash DATA
Both make shingles from text and 14 x 8 minima; datatrove with its own word tokenizers, and without its step
that writes and sorts files. Each contestant is as it ships: 5 words a shingle, ours 3 in Chinese.
"""

import sys
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig

from lmpipe.curate.minhash import Signer
from lmpipe.curate.shingles import shingle_sets
from lmpipe.settings import DedupSettings
from lmpipe.text.normalize import normalize
from tests.bench.harness import corpora, finish, median_seconds
from tests.bench.signals import chinese, english

BATCH = 512
NUM_TIMED = 512
"""Documents per language; datatrove takes some 3 s for them."""
TOKENIZERS = {"en": "eng", "zh": "cmn_Hani"}
"""datatrove's names of the languages."""


def ours(texts: Sequence[str], language: str, settings: DedupSettings) -> None:
    """Sign all texts, a batch at a time."""
    signer = Signer(settings)
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        signer.bands(shingle_sets(batch, [language] * len(batch), settings))


def theirs(texts: Sequence[str], signature: MinhashDedupSignature) -> None:
    """Sign all texts one by one, which is how datatrove does it."""
    for text in texts:
        signature.get_signature(signature.get_shingles(text))


def figures() -> tuple[dict[str, float], dict[str, float]]:
    """Measure rates (documents a second), and how often ours is datatrove's, in the worse language."""
    rates, ratios = {}, {}
    settings = DedupSettings()
    config = MinhashConfig(n_grams=settings.shingle, num_buckets=settings.bands, hashes_per_bucket=settings.rows)
    for language, read in (("en", english), ("zh", chinese)):
        texts = [text for raw in islice(read(corpora()), NUM_TIMED) if (text := normalize(raw)[0])]
        signature = MinhashDedupSignature("/nowhere", config, TOKENIZERS[language])
        contestants = {
            "lmpipe": partial(ours, texts, language, settings),
            "datatrove": partial(theirs, texts, signature),
        }
        contestants["datatrove"]()  # loads its tokenizer
        seconds = median_seconds(contestants)
        rates |= {f"{name} {language}": len(texts) / taken for name, taken in seconds.items()}
        ratios[f"minhash_{language}_vs_datatrove"] = seconds["datatrove"] / seconds["lmpipe"]
    return rates, {"minhash_vs_datatrove": min(ratios.values())} | ratios


def main() -> None:
    """Print the rates and the ratios."""
    rates, ratios = figures()
    finish(rates, "documents/s", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
