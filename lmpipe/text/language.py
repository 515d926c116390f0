"""Say which language a text is in: by its script where the script decides, else by letter statistics.

Han without kana is Chinese, kana Japanese, Hangul Korean, Thai script Thai: no model is better at
that, and the statistical detector (resiliparse, compiled, its tables ship in the wheel) knows
those scripts only in long texts. Everything else is the detector's.
"""

import re

from resiliparse.parse.lang import detect_fast

HEAD = 4_000
"""Characters that are looked at: more change no answer and cost time."""
LETTERS = re.compile(r"[^\W\d_]")
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]"), 0.05),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]"), 0.3),
    ("zh", re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]"), 0.3),
    ("th", re.compile("[\u0e00-\u0e7f]"), 0.3),
)
"""Language, its characters, and the share of all letters from which they decide; the order settles mixtures."""
UNKNOWN = "und"
"""BCP 47 for undetermined."""
WORST_RANK = 1200
"""resiliparse: ranks above this are guesses (its documentation of detect_fast)."""


def identify(text: str) -> tuple[str, float]:
    """Return the BCP 47 language of `text` and a confidence in [0, 1]; ("und", 0.0) when undecided.

    For a script the confidence is its share of the letters; for the detector 1 - rank / WORST_RANK.
    """
    head = text[:HEAD]
    letters = len(LETTERS.findall(head))
    if not letters:
        return UNKNOWN, 0.0
    if not head.isascii():
        for language, script, share in SCRIPTS:
            found = len(script.findall(head)) / letters
            if found >= share:
                return language, min(1.0, found)
    language, rank = detect_fast(head, cutoff=WORST_RANK)
    if language == "unknown":
        return UNKNOWN, 0.0
    return language, 1 - rank / WORST_RANK
