"""Read parallel corpora: two files of lines, tables, Moses zips, Tatoeba's zip; one document for each pair.

A document's text is the pair in the recipe's prompt format, so that every later stage, tokenizer and training knows
nothing of pairs. Its `work` is its source side: all translations of a sentence fall into one split, and a sentence
that is tested was not trained on in another wording of its translation. Pairs that are the same on both sides as
others are the dedup stage's to find.

What comes in is documents + bad records + skipped, by reason: empty, no_second_side, too_long, length_ratio, copy,
source_language, target_language.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from lmpipe.document import BadRecord, Document, Origin, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import ParallelSource
from lmpipe.sources.archives import Archive, ArchiveError, is_mac_metadata
from lmpipe.sources.encoding import check_encoding, file_name
from lmpipe.sources.records import Raw, bad, decode_raw, lines
from lmpipe.sources.textfiles import file_is_zip
from lmpipe.text.language import identify

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
TABLES = (".txt", ".tsv", ".csv")
"""What a table in a zip may be called."""

MIN_LETTERS = 30
"""Characters from which a side's language is believed: single sentences of 20 are Dutch to lid.176 now and then."""

SURE = 0.9
"""Score from which a side is surely in another language."""

SHORT = 20
"""Bytes added to both sides before they are compared."""

BASE_LANGUAGES = {"cmn": "zh", "yue": "zh"}
"""What the identifier calls languages that corpora name more exactly."""


class PairUnit(NamedTuple):
    """Two files or members of lines, or a table in the first alone."""

    path: str
    second: str | None
    """The file of the other side."""
    members: tuple[str, ...] = ()
    """Names inside the zip that `path` is."""


def units(source: ParallelSource, files: list[Path]) -> list[PairUnit]:
    """Find the pairs of files, the tables, and both inside zips.

    Raises InputError for settings that cannot work, and for a file whose other side is not there.
    """
    check_settings(source)
    plain = [str(file) for file in files if not file_is_zip(file)]
    found = [PairUnit(name, None) for name in plain]
    if source.format == "lines":
        found = [PairUnit(*sides) for sides in paired(source, plain)] if plain else []
    for file in files:
        if file_is_zip(file):
            found += zip_units(source, file)
    return found


def check_settings(source: ParallelSource) -> None:
    """Refuse settings that cannot work."""
    check_encoding(source.encoding, source.name)
    for key, values in (("langs", source.langs), ("columns", source.columns)):
        if len(set(values)) != 2 or len(values) != 2:
            raise InputError(f"source {source.name}: {key} = {list(values)}; expected two different ones. Correct it.")
    if source.prompt.count("{source}") != 1 or not source.prompt.endswith("{target}") or not prefix(source, ""):
        raise InputError(
            f"source {source.name}: prompt = {source.prompt!r}; expected one {{source}}, something that parts the"
            " sides, and {target} at the end. Correct it."
        )


def paired(source: ParallelSource, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair names that differ in nothing but the language; raises InputError for one that is alone."""
    sides = [{stem: name for name in names if (stem := stem_of(name, lang)) is not None} for lang in source.langs]
    for stem in sorted(sides[0].keys() | sides[1].keys()):
        if stem not in sides[0] or stem not in sides[1]:
            (alone,) = (side[stem] for side in sides if stem in side)
            raise InputError(
                f"source {source.name}: {file_name(Path(alone))} has no other side. Expected files that differ in"
                f" {'/'.join(source.langs)} alone, such as x.{source.langs[0]} and x.{source.langs[1]}."
            )
        yield sides[0][stem], sides[1][stem]
    if not sides[0]:
        raise InputError(
            f"source {source.name}: none of {[Path(name).name for name in names][:20]} ends in .{source.langs[0]} or"
            f" .{source.langs[1]} (.gz and others behind it). Rename the files, or correct langs."
        )


def stem_of(name: str, lang: str) -> str | None:
    """Cut compression and language off a name; None for a file of no such language."""
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.removesuffix(f".{lang}") if name.endswith(f".{lang}") else None


def zip_units(source: ParallelSource, path: Path) -> list[PairUnit]:
    """Find the pairs or tables inside a zip; leaves README, licences and what begins with _ alone."""
    with opened(source, path) as archive:
        names = [name for name in archive.names if not is_mac_metadata(name)]
    if source.format == "lines":
        return [PairUnit(str(path), None, sides) for sides in paired(source, names)]
    tables = [name for name in names if name.lower().endswith(TABLES) and is_content(name)]
    if not tables:
        raise InputError(f"source {source.name}: {path.name} holds no table, but {names[:20]}. Correct format.")
    return [PairUnit(str(path), None, (name,)) for name in tables]


def is_content(name: str) -> bool:
    """Tell a corpus from what is said about it."""
    last = name.rpartition("/")[2].lower()
    return not last.startswith(("_", "readme", "licen"))


def opened(source: ParallelSource, path: Path) -> Archive:
    """Open a zip; raises InputError when it is damaged."""
    try:
        return Archive.open(path)
    except ArchiveError as error:
        raise InputError(f"source {source.name}: {path.name}: {error}. Fetch it again.") from None


def read(source: ParallelSource, unit: PairUnit) -> Iterator[Record]:
    """Yield one Document, BadRecord or Skipped for every pair of a unit.

    Raises InputError when two files have different numbers of lines: from some line on nothing would be a pair.
    """
    if source.format == "lines":
        yield from read_lines(source, unit)
    else:
        yield from read_table(source, unit)


def raw_lines(source: ParallelSource, unit: PairUnit, side: int) -> Iterator[Raw]:
    """Yield the lines of a file, or of a member that is held in memory."""
    if not unit.members:
        yield from lines(Path(str(unit[side])))
        return
    path, name = Path(unit.path), unit.members[side]
    with opened(source, path) as archive:
        try:
            data = archive.find(name)
        except ArchiveError as error:
            raise InputError(f"source {source.name}: {path.name}: {name}: {error}. Unpack it.") from None
    offset = 0
    for number, line in enumerate(io.BytesIO(data), 1):
        where = f"{file_name(path)}/{name}"
        yield Raw(Origin(where, offset, len(line)), f"{where}#{number}", line.rstrip(b"\r\n"))
        offset += len(line)


def read_lines(source: ParallelSource, unit: PairUnit) -> Iterator[Record]:
    """Read two files side by side."""
    for first, second in zip_longest(raw_lines(source, unit, 0), raw_lines(source, unit, 1)):
        if first is None or second is None:
            longer = first or second
            raise InputError(
                f"source {source.name}: {longer.name}: the other side ended before this line. The two files are no"
                " pairs line by line: fetch both again."
            )
        sides = [decode_raw(raw, source.encoding) for raw in (first, second)]
        broken = next((side for side in sides if isinstance(side, BadRecord)), None)
        yield broken or make_pair(source, first, [side[0] for side in sides if not isinstance(side, BadRecord)])


def read_table(source: ParallelSource, unit: PairUnit) -> Iterator[Record]:
    """Read rows; a quoted field of csv does not run over lines."""
    for number, raw in enumerate(raw_lines(source, unit, 0)):
        if not number and source.header:
            continue
        decoded = decode_raw(raw, source.encoding)
        if isinstance(decoded, BadRecord):
            yield decoded
            continue
        try:
            fields = split_row(source, decoded[0])
        except csv.Error as error:
            yield bad(raw, f"not a row of csv: {error}")
            continue
        if not any(fields):
            yield Skipped(reason="empty")
        elif len(fields) <= max(source.columns):
            yield Skipped(reason="no_second_side")
        else:
            yield make_pair(source, raw, [fields[column] for column in source.columns])


def split_row(source: ParallelSource, line: str) -> list[str]:
    """Cut one line into fields."""
    if source.format == "tsv":
        return line.split("\t")
    return next(csv.reader(io.StringIO(line), strict=True), [])


def make_pair(source: ParallelSource, raw: Raw, sides: Sequence[str]) -> Record:
    """Make a document of two sides, or say why they are no pair."""
    first, second = (" ".join(side.split()) for side in sides)
    reason = refuse(source, first, second)
    if reason is not None:
        return Skipped(reason=reason)
    work = hashlib.md5(first.casefold().encode(), usedforsecurity=False).hexdigest()
    return Document(
        native_id=raw.name,
        title="",
        text=prefix(source, first) + second,
        origin=raw.origin,
        meta={
            "work": f"pair:{work}",
            "langs": "-".join(source.langs),
            "prompt_characters": str(len(prefix(source, first))),
        },
    )


def prefix(source: ParallelSource, first: str) -> str:
    """Write what stands before the target side."""
    return source.prompt.removesuffix("{target}").replace("{source}", first)


def refuse(source: ParallelSource, first: str, second: str) -> str | None:
    """Name the reason why two sides are no pair; None for a good one."""
    sizes = [len(side.encode()) for side in (first, second)]
    if not min(sizes):
        return "empty" if not max(sizes) else "no_second_side"
    if max(sizes) > source.max_bytes:
        return "too_long"
    if (max(sizes) + SHORT) / (min(sizes) + SHORT) > source.max_ratio:
        return "length_ratio"
    if not source.copies and first.casefold() == second.casefold():
        return "copy"
    if source.check_language:
        for side, lang, reason in zip(
            (first, second), source.langs, ("source_language", "target_language"), strict=True
        ):
            if is_foreign(side, lang):
                return reason
    return None


def is_foreign(text: str, lang: str) -> bool:
    """Tell a text that is surely not in a language."""
    if len(text.encode()) < MIN_LETTERS:
        return False
    found = identify(text)
    base = lang.partition("-")[0].lower()
    return found.score >= SURE and found.lang != BASE_LANGUAGES.get(base, base)
