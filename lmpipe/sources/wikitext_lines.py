"""Lay rendered wikitext out as lines, and mend what a dropped template leaves around it.

HOLE stands where a template, a picture or a link without text was. Only brackets and spaces that
touch one are changed, so that prose about f() or "( )" stays as its author wrote it.
"""

import re

HOLE = "\3"
"""Where something was dropped from within a line."""

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
SPACES = re.compile(r"[ \t]{2,}")
HOLES = re.compile("\3[ \t\3]*\3")
"""Neighbouring holes; joined first, for the patterns below would try each of a long run in vain."""
LISTED = re.compile("([,;，；、])(?: ?\3 ?[,;，；、])+")
BEFORE_STOP = re.compile(" ?\3 ?(?=[,.;:!?)\\]，。；：！？、）」』》]|$)")
AFTER_OPEN = re.compile("(^|[(\\[（「『《“ ])\3 ?")
WORD = re.compile(r"\w")


def layout(text: str) -> str:
    """Turn marked lines into plain ones: headings and list items lose their marks, empty ones go.

    A blank line separates paragraphs and surrounds headings; a heading with nothing under it is
    dropped, as most of "References" are once the references are gone.
    """
    out: list[str] = []
    headings: list[tuple[int, str]] = []
    gap = False
    for raw in text.split("\n"):
        line = raw.strip()
        if level := heading_level(line):
            headings = [heading for heading in headings if heading[0] < level]
            headings.append((level, mended(line[level:-level])))
            continue
        shown = shown_line(line)
        if not shown:
            gap = gap or line[:1] not in ("*", "#", ":", ";")
            continue
        for _, heading in headings:
            out.append("\n\n" + heading)
        out.append(("\n\n" if gap or headings else "\n") + shown)
        headings, gap = [], False
    return "".join(out).strip("\n")


def heading_level(line: str) -> int:
    """Return the level of the heading that `line` is, or 0."""
    if not line.startswith("=") or not line.endswith("="):
        return 0
    inner = line.strip("=")
    if not inner.strip():
        return 0
    start = line.index(inner)
    return min(start, len(line) - start - len(inner), 6)


def shown_line(line: str) -> str:
    """Return what a reader sees of a line that is no heading; nothing of rules and leftovers of tables."""
    if line[:1] in ("*", "#", ":", ";"):
        line = line.lstrip("*#:; \t")
    if line.startswith(("|", "----")):
        return ""
    return mended(line)


def mended(line: str) -> str:
    """Close the holes of a line; one that is only a hole and punctuation becomes nothing."""
    if "  " in line or "\t" in line:
        line = SPACES.sub(" ", line)
    if HOLE not in line:
        return line.strip()
    if not WORD.search(line):
        return ""
    line = HOLES.sub(HOLE, line)
    # Twice, because a bracket that vanishes is a hole in the bracket around it.
    for _ in range(2):
        line = BRACKETED.sub(mended_bracket, line)
    line = LISTED.sub(r"\1", HOLES.sub(HOLE, line))
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
