"""Settings of what a trained model is probed for: minimal pairs, and training text that it gives away."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lmpipe.settings.ranges import Count, Natural, Positive, Range


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSet:
    """A set of sentence pairs, of which a model should (BLiMP) or should not (bias) find one more probable."""

    name: str
    """As the results call it; StereoSet's two tasks get -intrasentence and -intersentence behind it."""
    paths: tuple[str, ...]
    """Files, globs or zips of files, relative to the recipe; $NAME from the environment."""
    format: Literal["blimp", "crows-pairs", "stereoset", "jsonl"]
    """As published; jsonl: an object {good, bad} a line, with group, part, context and id where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How much of its training documents a model says by heart (Carlini et al. 2023, "Quantifying memorization")."""

    documents: Count = 500
    """Training documents with a passage of prefix and suffix, drawn by hash; one passage of each."""
    prefix: Count = 50
    """Tokens that are given."""
    suffix: Count = 50
    """Tokens that the model has to go on with to have the passage by heart (Carlini et al. 2023, section 3)."""
    samples: Natural = 4
    """Sampled continuations beside the greedy one; 0 for none."""
    temperature: Positive = 1.0
    """Of the samples; what is drawn is reported beside the greedy one, never mixed with it."""
    top_k: Count = 40
    """Tokens that a sample is drawn from, the likeliest ones (Carlini et al. 2021, section 4.1)."""
    candidates: Count = 4096
    """Numbers that were never planted, among which each canary is ranked: 12 bits of exposure at most."""
    seed: int = 1
    """Of passages, samples and candidates."""
    checkpoint: Literal["latest", "best"] = "latest"
    """The last weights of a run, or those of its best validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySettings:
    """Made-up secrets that are planted in the training split, to measure what a model keeps of what it saw n times.

    They are training documents of the source `canary`: in the token counts, the shards' index and the lineage.
    """

    number: Count = 10
    """Canaries for each number of repeats."""
    repeats: tuple[Count, ...] = (1, 8, 64)
    """How often a canary stands in the training split, each time as a document of its own."""
    digits: Count = 9
    """Random digits of each (Carlini et al. 2019, section 4, have nine)."""
    text: str = "The random number is {}."
    """What a canary says; {} is its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """Differentially private training, DP-SGD (Abadi et al. 2016, algorithm 1); needs the extra `dp`.

    What is protected is one row of `context` tokens: adding or removing it changes what the weights can be by epsilon.
    A document of several rows is protected less (by group privacy), and train losses in metrics.jsonl are not at all.
    """

    noise: Positive
    """Standard deviation of the noise in units of `clip`, above 0; epsilon falls as it grows."""
    clip: Positive = 1.0
    """Largest norm of one row's gradient of the mean loss per token."""
    delta: Annotated[float, Range(0, 1, above=True, below=True)] = 1e-6
    """Chance that the bound does not hold; well below one over the number of rows."""
