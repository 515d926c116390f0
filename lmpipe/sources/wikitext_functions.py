"""Evaluate the parser functions that articles use themselves, {{#if: ...}} and its kin, as MediaWiki does.

What depends on the moment of reading ({{CURRENTYEAR}}, #time without a date), on other pages or on Lua (#invoke)
is not known to a dump of articles and shows nothing. #ifexist is taken to find its page.
"""

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime

from lmpipe.sources.wikitext_dates import MONTHS
from lmpipe.sources.wikitext_marks import HOLE
from lmpipe.sources.wikitext_tags import DROPPED
from lmpipe.sources.wikitext_templates import BLANK, Page, localized

Function = Callable[[str, list[str], Page], str]
"""Of the text behind the colon, the other arguments and the page."""

MAX_EXPRESSION = 300
"""Characters of an expression at most; it bounds how deep its brackets nest."""
MAX_PADDING = 500
"""Characters that padleft adds at most, as in MediaWiki."""
TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|[a-z]+|<=|>=|<>|!=|[-+*/^()=<>]|−)")
"""Of an expression in lower case."""
PREFIX: dict[str, Callable[[float], float]] = {
    "-": operator.neg,
    "−": operator.neg,
    "+": operator.pos,
    "not": lambda value: float(not value),
    "ceil": math.ceil,
    "floor": math.floor,
    "trunc": math.trunc,
    "abs": abs,
    "exp": math.exp,
    "ln": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
}
"""What stands before its one operand."""
CONSTANTS = {"pi": math.pi}
INFIX: dict[str, tuple[int, Callable[[float, float], float]]] = {
    "or": (2, lambda left, right: float(bool(left or right))),
    "and": (3, lambda left, right: float(bool(left and right))),
    **{sign: (4, test) for sign, test in (("=", operator.eq), ("<", operator.lt), (">", operator.gt))},
    **{sign: (4, test) for sign, test in (("<=", operator.le), (">=", operator.ge))},
    "!=": (4, operator.ne),
    "<>": (4, operator.ne),
    "round": (5, lambda value, digits: rounded(value, int(digits))),
    "+": (6, operator.add),
    "-": (6, operator.sub),
    "−": (6, operator.sub),
    "*": (7, operator.mul),
    "/": (7, operator.truediv),
    "div": (7, operator.truediv),
    "mod": (7, lambda left, right: math.fmod(int(left), int(right))),
    "fmod": (7, math.fmod),
    "^": (8, math.pow),
    "e": (10, lambda value, power: value * 10.0**power),
}
"""What stands between its two operands, with its rank; all are taken from the left."""
PREFIX_RANK = 9
DATES = ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%B %d %Y", "%Y/%m/%d", "%Y%m%d")
"""How the date of #time may be written."""


def rounded(value: float, digits: int) -> float:
    """Round half away from zero, as PHP does."""
    factor = 10.0 ** max(-30, min(digits, 30))
    return math.copysign(math.floor(abs(value) * factor + 0.5) / factor, value)


class Expression:
    """A place in the tokens of an expression."""

    def __init__(self, text: str) -> None:
        text = text.lower()
        self.tokens = TOKEN.findall(text)
        self.place = 0
        if len(text) > MAX_EXPRESSION or TOKEN.sub("", text).strip():
            raise ValueError("no expression")

    def next(self) -> str:
        """Take the next token; nothing at the end."""
        self.place += 1
        return self.tokens[self.place - 1] if self.place <= len(self.tokens) else ""

    def value(self, rank: int) -> float:
        """Evaluate what binds tighter than `rank`."""
        left = self.operand()
        while self.place < len(self.tokens):
            found = INFIX.get(self.tokens[self.place])
            if found is None or found[0] <= rank:
                break
            self.place += 1
            left = float(found[1](left, self.value(found[0])))
        return left

    def operand(self) -> float:
        """Evaluate a number, a bracket or what stands behind a prefix."""
        token = self.next()
        if token == "(":
            inner = self.value(0)
            if self.next() != ")":
                raise ValueError("expected )")
            return inner
        if token in PREFIX:
            return float(PREFIX[token](self.value(PREFIX_RANK)))
        return CONSTANTS[token] if token in CONSTANTS else float(token)


def evaluated(text: str) -> float | None:
    """Evaluate an expression of #expr; None for what is none, and for no finite number."""
    try:
        expression = Expression(text.strip(BLANK))
        value = expression.value(0)
    except (ValueError, ArithmeticError):
        return None
    return value if expression.place == len(expression.tokens) and math.isfinite(value) else None


def expr(text: str, rest: list[str], page: Page) -> str:
    """Show the value of an expression, with the 14 digits that PHP shows."""
    value = evaluated(text)
    return "" if value is None else f"{value + 0.0:.14g}"


def branch(holds: bool, rest: list[str]) -> str:
    """Show the first of two arguments, or the second; one that is not there shows nothing."""
    return [*rest, "", ""][0 if holds else 1].strip(" \t\n")


def if_equal(text: str, rest: list[str], page: Page) -> str:
    """Compare two texts, as numbers if both are."""
    return branch(same(text, rest[0] if rest else ""), rest[1:])


def same(left: str, right: str) -> bool:
    """Tell whether two texts are equal, or equal numbers."""
    left, right = left.strip(BLANK), right.strip(BLANK)
    try:
        return left == right or float(left) == float(right)
    except ValueError:
        return False


def if_expr(text: str, rest: list[str], page: Page) -> str:
    """Show one argument or the other by the value of an expression; nothing counts as 0."""
    value = evaluated(text) if text.strip(BLANK) else 0.0
    return "" if value is None else branch(bool(value), rest)


def if_error(text: str, rest: list[str], page: Page) -> str:
    """Show the first argument if the text is an error, which is a hole here; else the second, or the text."""
    if HOLE in text and not text.strip(BLANK):
        return branch(True, rest)
    return branch(False, rest) if len(rest) > 1 else text


def switch(text: str, rest: list[str], page: Page) -> str:
    """Show what stands behind the case that equals the text; cases without a value fall through to the next."""
    default, falling, falling_default = "", False, False
    for place, part in enumerate(rest):
        case, equals, value = part.partition("=")
        is_default = case.strip(BLANK) == "#default"
        falling |= same(case, text) and not (not equals and place == len(rest) - 1)
        falling_default |= is_default
        if equals and falling:
            return value.strip(" \t\n")
        if equals and falling_default:
            default, falling_default = value, False
        elif not equals and place == len(rest) - 1:
            default = part
    return default.strip(" \t\n")


def time(text: str, rest: list[str], page: Page) -> str:
    """Show a date that is given; only with the letters Y y n m F M j d of PHP's formats."""
    date = parsed_date(rest[0].strip(BLANK)) if rest else None
    if date is None or not 1 <= date.month <= 12:
        return ""
    months = MONTHS.get(page.lang, MONTHS["en"])
    letters = {"Y": str(date.year), "y": f"{date.year % 100:02}", "n": str(date.month), "m": f"{date.month:02}"}
    letters |= {"F": months[date.month - 1], "M": months[date.month - 1][:3], "j": str(date.day), "d": f"{date.day:02}"}
    quoted = re.split(r'"([^"]*)"', text)
    plain = [re.sub("[a-zA-Z]", lambda match: letters.get(match[0], HOLE), piece) for piece in quoted[::2]]
    quoted[::2] = plain
    return "" if HOLE in "".join(plain) else "".join(quoted)


def parsed_date(text: str) -> datetime | None:
    """Read a date."""
    for form in DATES:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def padded(text: str, rest: list[str], *, left: bool) -> str:
    """Fill a text up to a length; with zeros if nothing else is asked for."""
    length = rest[0].strip(BLANK) if rest else ""
    filler = (rest[1] if len(rest) > 1 else "") or "0"
    if not length.isdecimal() or len(length) > 3:
        return text
    padding = (filler * MAX_PADDING)[: max(0, min(int(length), MAX_PADDING) - len(text))]
    return padding + text if left else text + padding


def format_number(text: str, rest: list[str], page: Page) -> str:
    """Write a number with the separators of the wiki's language; with R, take them out."""
    if rest and rest[0].strip(BLANK).upper() == "R":
        return text.replace(",", "")
    return localized(text, page)


FUNCTIONS: dict[str, Function] = {
    "lc": lambda text, rest, page: text.lower(),
    "uc": lambda text, rest, page: text.upper(),
    "ucfirst": lambda text, rest, page: text[:1].upper() + text[1:],
    "lcfirst": lambda text, rest, page: text[:1].lower() + text[1:],
    "formatnum": format_number,
    "plural": lambda text, rest, page: branch(text == "1" or len(rest) == 1, rest),
    "padleft": lambda text, rest, page: padded(text, rest, left=True),
    "padright": lambda text, rest, page: padded(text, rest, left=False),
    "#if": lambda text, rest, page: branch(bool(text.strip(BLANK)), rest),
    "#ifeq": if_equal,
    "#ifexpr": if_expr,
    "#iferror": if_error,
    "#ifexist": lambda text, rest, page: branch(True, rest),
    "#switch": switch,
    "#expr": expr,
    "#time": time,
    "#tag": lambda text, rest, page: "" if text.lower() in DROPPED or not rest else rest[0],
}
"""Lower-case name to function, {{name:text|arguments}}."""
