"""The guard of the decide stage: a profile that removes most of a source or a language is a mistake.

A known project lost 97 % of its novels to a filter and found out months later; English defaults keep
none of 300 Chinese documents. So a run stops, with the figures by language and reason.
"""

import tempfile
from pathlib import Path
from typing import Any

from lmpipe.curate.engine import engine
from lmpipe.curate.forget import FORGOTTEN
from lmpipe.errors import GuardError
from lmpipe.settings import ProfileSettings

SQL = """
select lang, reason, count(*) as documents
from read_parquet($decisions) where reason is distinct from $forgotten
group by all order by lang, documents desc, reason
"""
REASONS = 4
"""Reasons that the message names per language: the first ones do the most."""

Figures = list[dict[str, Any]]
"""Rows of lang, reason, documents; reason is null for kept ones."""


def check_guard(name: str, settings: ProfileSettings, folder: Path) -> None:
    """Stop a run whose profile drops more of a source, or of a language in it, than its guard allows.

    `folder` holds the source's decisions. Raises GuardError.
    """
    with engine(Path(tempfile.gettempdir())) as connection:
        parameters = {"decisions": str(folder / "decisions-*.parquet"), "forgotten": FORGOTTEN}
        found = connection.execute(SQL, parameters).fetchall()
    figures = [dict(zip(("lang", "reason", "documents"), row, strict=True)) for row in found]
    message = guard_message(name, settings, figures)
    if message is not None:
        raise GuardError(message)


def guard_message(name: str, settings: ProfileSettings, figures: Figures) -> str | None:
    """Say what a profile drops too much of, or None where it keeps within its guard."""
    dropped, total = count(figures)
    if dropped > settings.guard * total:
        guarded = f"{dropped} of {total} documents"
    else:
        by_language = {language: count(figures, language) for language in dict.fromkeys(f["lang"] for f in figures)}
        over = [
            f"{lost} of {held} documents in {language}"
            for language, (lost, held) in by_language.items()
            if held >= settings.guard_documents and lost > settings.guard * held
        ]
        if not over:
            return None
        guarded = ", ".join(over)
    return (
        f"source {name}: profile '{settings.name}' drops {guarded}, more than profile.guard = {settings.guard:g}.\n"
        f"{table(figures)}\nSee their texts with `lmpipe dropped RECIPE --source {name}`, try other thresholds with"
        " `lmpipe decide RECIPE --what-if profile.rules.LANG.SIGNAL.min=X`, then loosen [profile.rules] or raise the"
        " guard."
    )


def count(figures: Figures, language: str | None = None) -> tuple[int, int]:
    """Add up dropped and all documents, of one language or of the source."""
    chosen = [f for f in figures if language is None or f["lang"] == language]
    return sum(f["documents"] for f in chosen if f["reason"] is not None), sum(f["documents"] for f in chosen)


def table(figures: Figures) -> str:
    """Write one line a language: what it loses, and to which rules most."""
    lines = []
    for language in dict.fromkeys(f["lang"] for f in figures):
        lost, held = count(figures, language)
        reasons = [f for f in figures if f["lang"] == language and f["reason"] is not None][:REASONS]
        named = ", ".join(f"{f['reason']} {f['documents']}" for f in reasons)
        lines.append(f"  {language or '?':<4} {lost:>9} of {held:>9} dropped  {named}")
    return "\n".join(lines)
