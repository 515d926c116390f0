"""Lay rendered wikitext out as lines, and mend what a dropped template leaves around it.

HOLE stands where a template, a picture or a link without text was. Only brackets and spaces that
touch one are changed, so that prose about f() or "( )" stays as its author wrote it.
"""

import re

from lmpipe.sources.wikitext_marks import HOLE, LOST

BRACKETED = re.compile(r"\(([^()\n]*)\)|（([^（）\n]*)）")
SEGMENT = re.compile(r"([,;，；、])")
LABEL = re.compile(
    r"[\s\W_]*(?:(?:born|died|pronounced|pronunciation|ipa|english|also|or|and|from|in|lit|c|d|b|r|about|approx|simplified|traditional"
    r"|chinese|pinyin|local|listen|e\.g|i\.e|see|cf|as|literally|meaning|known as"
    r"|发音|發音|国际音标|國際音標|拼音|英语|英語|音标|生于|卒于)[\s\W_]*)*",
    re.I,
)
"""What says nothing once the template it introduced is gone."""
SHORT = 60
"""Characters of what may be such a label."""
SPACES = re.compile("  +")
HOLES = re.compile("\3[ \t\3]*\3")
"""Neighbouring holes; joined first, for the patterns below would try each of a long run in vain."""
LISTED = re.compile("([,;，；、])(?: ?\3 ?[,;，；、])+")
BEFORE_STOP = re.compile(" ?\3 ?(?=[,.;:!?)\\]，。；：！？、）」』》]|$)")
BEFORE_END = re.compile("(?:[,;] |[，；、] ?)\3 ?(?=[.。])")
"""A comma before what was the last of a list; one that touches a dropped note, as in verse, stays."""
AFTER_OPEN = re.compile("(^|[(\\[（「『《“ ])\3 ?")
WORD = re.compile(r"\w")
LIST_MARKS = ("*", "#", ":", ";")
DEFINITION = re.compile(r" *: +| +: *")
"""What parts a term from its definition in "; term : definition"; a reader sees two lines."""
MARKED = frozenset("*#:;=|-")
"""How a line may begin that is not prose."""


def layout(text: str) -> tuple[str, int]:
    """Turn marked lines into plain ones; also count the templates lost from lines that show a word besides.

    Headings and list items lose their marks, empty ones go. A blank line separates paragraphs and
    surrounds headings; a heading with nothing under it is dropped, as most of "References" are once
    the references are gone.
    """
    out: list[str] = []
    headings: list[tuple[int, str]] = []
    lost = 0
    gap = False
    for raw in text.replace("\t", " ").split("\n"):
        line = raw and raw.strip()
        if not line or line == HOLE:
            gap = True
            continue
        if "  " in line:
            line = SPACES.sub(" ", line)
        shown = line
        # Most lines are plain prose, for which this is all.
        if line[0] in MARKED or HOLE in line:
            if line[0] == "=" and (level := heading_level(line)):
                headings = [heading for heading in headings if heading[0] < level]
                headings.append((level, shown_line(line[level:-level].strip())))
                continue
            shown = shown_line(line)
            if not shown:
                gap = gap or line[0] not in LIST_MARKS
                continue
            lost += line.count(LOST)
        if headings:
            out += ["\n\n" + heading for _, heading in headings]
            headings, gap = [], True
        out.append(("\n\n" if gap else "\n") + shown)
        gap = False
    return "".join(out).strip("\n"), lost


def heading_level(line: str) -> int:
    """Return the level of the heading that a line beginning with = is, or 0."""
    if not line.endswith("="):
        return 0
    inner = line.strip("=")
    if not inner.strip():
        return 0
    start = line.index(inner)
    return min(start, len(line) - start - len(inner), 6)


def shown_line(line: str) -> str:
    """Return what a reader sees of a line with marks; nothing of rules and leftovers of tables."""
    if line[:1] in LIST_MARKS:
        is_term = line[0] == ";"
        line = line.lstrip("*#:; ")
        if is_term and ":" in line:
            line = DEFINITION.sub("\n", line, count=1)
    if line.startswith(("|", "----")):
        return ""
    if LOST in line:
        line = line.replace(LOST, HOLE)
    return mended(line) if HOLE in line else line


def mended(line: str) -> str:
    """Close the holes of a line; one that is only holes and punctuation becomes nothing."""
    if not WORD.search(line):
        return ""
    line = HOLES.sub(HOLE, line)
    if "(" in line or "（" in line:
        # Twice, because a bracket that vanishes is a hole in the bracket around it.
        line = BRACKETED.sub(mended_bracket, BRACKETED.sub(mended_bracket, line))
    line = BEFORE_END.sub("", LISTED.sub(r"\1", HOLES.sub(HOLE, line)))
    line = AFTER_OPEN.sub(r"\1", BEFORE_STOP.sub("", line)).replace(HOLE, "")
    return SPACES.sub(" ", line).strip()


def mended_bracket(match: re.Match[str]) -> str:
    """Drop what is empty of a bracket with holes; drop the bracket if nothing remains."""
    inner = match[0][1:-1]
    if HOLE not in inner:
        return match[0]
    pieces = SEGMENT.split(inner)
    kept = [(pieces[i - 1] if i else "", pieces[i]) for i in range(0, len(pieces), 2) if not is_empty(pieces[i])]
    if not kept:
        return HOLE
    first, *rest = kept
    inner = (first[1] + "".join(mark + text for mark, text in rest)).replace(HOLE, "")
    return match[0][0] + SPACES.sub(" ", inner).strip() + match[0][-1]


def is_empty(segment: str) -> bool:
    """Tell whether a part of a bracket says nothing: it is blank, or a label before a hole."""
    if HOLE in segment:
        rest = segment.replace(HOLE, "").strip()
        return rest.endswith((":", "：")) or (len(rest) < SHORT and LABEL.fullmatch(rest) is not None)
    return not segment.strip()
