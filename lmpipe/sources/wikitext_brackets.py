"""Resolve {{ }}, [[ ]], {| |} and -{ }- in one scan with an explicit stack of what is open.

A template or link with nothing nested in it is one token. A template that will be dropped anyway,
and a table, are skipped from their opener to their closer without a look at what is inside: most
tokens of an article are in infoboxes, navigation boxes and tables.
"""

import re
from collections.abc import Callable

from lmpipe.sources.wikitext_chinese import resolve_variant
from lmpipe.sources.wikitext_marks import EQUALS, HOLE, LOST, PIPE
from lmpipe.sources.wikitext_names import CATEGORY_NAMES, FILE_NAMES, MEDIA_NAMES, words
from lmpipe.sources.wikitext_table import expand, is_shown, loss
from lmpipe.sources.wikitext_templates import Page

MAX_DEPTH = 40
"""Brackets nested deeper render as nothing (MediaWiki's $wgMaxTemplateDepth was 40): bounds copying."""
MAX_UNCLOSED = 20
"""Openers without closer whose closer is searched for; beyond, only the stack finds out: bounds searching."""

INTERLANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]{2,8})*|be-x-old")
"""Codes of other Wikipedias; a link [[de:...]] without a label goes to the margin, not the text."""
MEDIA = words("jpg jpeg png gif svg tif tiff webp xcf djvu ogg oga ogv opus webm mp3 mp4 wav flac mid midi")
"""Endings of pictures and recordings, which are dropped in whatever namespace: small wikis' names are in no list."""
PIPE_TRICK = re.compile(r"^:?[^:|()]*:(?! )|(?: ?[(（][^()（）]*[)）]|, [^,]*)$")
"""What [[Help:Paris, Texas|]] and [[Mercury (planet)|]] hide of their target."""
WHOLE = r"\{\{[^{}\[\]]*+\}\}|\[\[[^{}\[\]]*+\]\]"
"""A template or link with nothing nested in it."""
BRACKETS = WHOLE + r"|\{\{+|\[\[+|\]\]|\n[ \t:*#]*+\{\||\n[ \t]*+\|\}(?!\})"
PLAIN_TOKEN = re.compile(rf"({BRACKETS}|\}}\}}+)")
CHINESE_TOKEN = re.compile(rf"({BRACKETS}|\}}\}}+-?|\}}-|-\{{(?=[^{{]|\{{\{{))")
NAME_END = re.compile(r"[|\n{}\[\]]")

LINE_STARTS = frozenset("*#:;")
"""What a template shows that begins with these gets a line of its own, as in MediaWiki (T2529)."""
BRACES = frozenset(("{{", "{{{", "-{"))


class Brackets:
    """The stack: for each open bracket its kind and the pieces of its content so far.

    A | or = in such a piece belongs to the arguments; those in what a closed bracket left are a PIPE and an EQUALS.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.kinds = [""]
        self.frames: list[list[str]] = [[]]
        self.open = dict.fromkeys(("{{", "{{{", "[[", "{|", "-{"), 0)
        self.tokens: list[str] = []
        self.place = 1
        """Of the token at hand; those at odd places are brackets, the others text."""
        self.unclosed = 0
        self.shown = 0
        """Templates with arguments in the running text that left text."""

    def render(self, text: str) -> str:
        """Return `text` with all brackets resolved; openers that are never closed vanish."""
        chinese = self.page.lang == "zh" and "-{" in text
        tokens = self.tokens = (CHINESE_TOKEN if chinese else PLAIN_TOKEN).split("\n" + text)
        actions: dict[str, Callable[[str], None]] = {"{": self.open_braces, "}": self.close_braces, "[": self.open_link}
        actions |= {"]": self.close_link, "\n": self.table, "-": self.open_variant}
        self.frames[0].append(tokens[0])
        while self.place < len(tokens):
            token = tokens[self.place]
            actions[token[0]](token)
            if following := tokens[self.place + 1]:
                self.frames[-1].append(following)
            self.place += 2
        self.unwind(1)
        return "".join(self.frames[0])

    def push(self, kind: str) -> None:
        """Open a bracket."""
        self.kinds.append(kind)
        self.frames.append([])
        self.open[kind] += 1

    def unwind(self, level: int) -> None:
        """Turn the brackets from `level` up, which were never closed, into text, in one go."""
        if level < len(self.frames):
            pieces = [piece for frame in self.frames[level:] for piece in frame]
            for kind in self.kinds[level:]:
                self.open[kind] -= 1
            del self.kinds[level:], self.frames[level:]
            self.emit("".join(pieces))

    def pop(self, kind: str) -> str | None:
        """Close the innermost bracket of `kind` and return its content, or None when it is too deep.

        Those inside it that are still open become text; each frame is looked at once in its life.
        """
        level = len(self.kinds) - 1
        while self.kinds[level] != kind:
            level -= 1
        self.unwind(level + 1)
        self.kinds.pop()
        self.open[kind] -= 1
        frame = self.frames.pop()
        return "".join(frame) if level <= MAX_DEPTH else None

    def emit(self, text: str) -> None:
        """Append what a closed bracket left to the innermost open one."""
        if "=" in text:
            text = text.replace("=", EQUALS)
        self.frames[-1].append(text.replace("|", PIPE) if "|" in text else text)

    def open_braces(self, token: str) -> None:
        """Open templates, the innermost of an odd run being a parameter: {{{1}}}."""
        if token[-1] == "}":
            self.emit(self.template(token[2:-2]))
            return
        if len(token) == 2 and self.skip_template():
            return
        odd = len(token) % 2
        for _ in range(len(token) // 2 - odd):
            self.push("{{")
        if odd:
            self.push("{{{")

    def skip_template(self) -> bool:
        """Jump over a template that will be dropped; where its name is not plain text, it may be shown."""
        following = self.tokens[self.place + 1]
        end = NAME_END.search(following)
        if end is None or is_shown(following[: end.start()], self.page) or not self.skip("{{"):
            return False
        self.emit(loss(following.split("|", 1)))
        return True

    def skip(self, kind: str) -> bool:
        """Jump to the closer of the template or table that begins here; False when there is none."""
        braces, tables = int(kind == "{{"), int(kind == "{|")
        tokens = self.tokens
        for place in range(self.place + 2, len(tokens) if self.unclosed < MAX_UNCLOSED else 0, 2):
            token = tokens[place]
            if token[0] == "{":
                braces += len(token) // 2 if token[-1] == "{" else 0
            elif token[0] == "}":
                closing = token.count("}")
                if closing >= 2 * braces and kind == "{{":
                    self.jump(place, len(token) - 2 * braces)
                    return True
                braces -= closing // 2
                if braces < 0:
                    break
            elif token[0] == "\n" and tables:
                tables += 1 if token.endswith("{|") else -1
                if not tables:
                    self.place = place
                    return True
        self.unclosed += 1
        return False

    def jump(self, place: int, rest: int) -> None:
        """Go on behind the closing braces at `place`, or with the last `rest` characters of them."""
        if rest:
            self.tokens[place] = self.tokens[place][-rest:]
            self.tokens[place - 1] = ""
            place -= 2
        self.place = place

    def close_braces(self, token: str) -> None:
        """Close templates, parameters and, at }-, a language variant."""
        braces, dash = token.count("}"), token.endswith("-")
        while braces >= 2 and (self.open["{{"] or self.open["{{{"]):
            level = next(level for level in reversed(range(len(self.kinds))) if self.kinds[level] in BRACES)
            kind = self.kinds[level]
            if kind == "-{":
                if dash:
                    break
                self.unwind(level)
            elif kind == "{{{" and braces >= 3:
                self.emit(parameter(self.pop(kind)))
                braces -= 3
            else:
                self.emit(self.template(self.pop(kind)))
                braces -= 2
        if dash and braces and self.open["-{"]:
            self.emit("}" * (braces - 1))
            self.emit(resolve_variant(self.pop("-{") or "", self.page.variant))
        else:
            self.emit(("}" if braces == 1 else "") + ("-" if dash else ""))

    def template(self, content: str | None) -> str:
        """Say what a template leaves."""
        if content is None:
            return HOLE
        parts = content.split("|")
        text = expand(parts, self.page)
        self.shown += len(parts) > 1 and len(self.frames) == 1 and text not in (HOLE, LOST)
        if text[0] in LINE_STARTS and self.frames[-1] and self.frames[-1][-1][-1:] != "\n":
            return "\n" + text
        return text

    def open_link(self, token: str) -> None:
        """Open links; an odd bracket before them is text."""
        if token[-1] == "]":
            self.emit(link_text(token[2:-2].split("|")))
            return
        self.emit("[" * (len(token) % 2))
        for _ in range(len(token) // 2):
            self.push("[[")

    def close_link(self, token: str) -> None:
        """Close a link, unless a bracket opened after it is still open: then ]] is text."""
        if self.kinds[-1] == "[[":
            self.emit(link_text((self.pop("[[") or "").split("|")))
        else:
            self.emit(token)

    def table(self, token: str) -> None:
        """Open or drop a table."""
        if token.endswith("{|"):
            if self.skip("{|"):
                self.emit("\n")
            else:
                self.push("{|")
                self.frames[-1].append("\n")
                # What follows on its line are attributes.
                _, end, cells = self.tokens[self.place + 1].partition("\n")
                self.tokens[self.place + 1] = end + cells
        elif self.open["{|"]:
            self.pop("{|")
            self.emit("\n")
        else:
            self.frames[-1].append("\n|}")

    def open_variant(self, token: str) -> None:
        """Open -{."""
        self.push("-{")


def parameter(content: str | None) -> str:
    """Say what {{{name|default}}} leaves: an article has no parameters, so the default."""
    return (content or "").partition("|")[2]


def link_text(parts: list[str]) -> str:
    """Say what [[target|label]] leaves."""
    target = parts[0].strip()
    if "\n" in target or "[" in target:
        return "|".join(parts)
    namespace, colon, _ = target.partition(":")
    if colon:
        namespace = namespace.strip().lower().replace(" ", "_")
        if namespace in MEDIA_NAMES:
            return (parts[1] if len(parts) > 1 else target).strip() or HOLE
        if namespace in FILE_NAMES or namespace in CATEGORY_NAMES:
            return HOLE
        if namespace and target.count(":") == 1 and target.rpartition(".")[2].lower() in MEDIA:
            return HOLE
        if len(parts) == 1 and INTERLANGUAGE.fullmatch(namespace):
            return HOLE
    label = "|".join(parts[1:]).strip("\n")
    if label.strip():
        return label
    return (PIPE_TRICK.sub("", target) if len(parts) == 2 else target).lstrip(":#").strip()
