"""Turn a growing list of token ids into text that is safe to show: whole characters, and no stop sequence.

A token may hold part of a character: a Chinese one is three bytes, and byte-level tokens end anywhere. Text is
given out once it can no longer change; what might be the beginning of a stop sequence waits too.
"""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Ids to text; bytes that are no UTF-8 become U+FFFD."""

LONGEST_CHARACTER = 4
"""Bytes of a UTF-8 character at most: so many tokens can a broken end wait for its rest."""


class GrowingText:
    """The text of one continuation."""

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        self.decode, self.stop = decode, tuple(stop)
        self.ids: list[int] = []
        self.text = ""
        """Decoded so far, whole characters only."""
        self.stopped = False
        """Whether a stop sequence has come; the text ends before it."""
        self.num_given = 0
        self.clean = self.before = 0

    def push(self, token: int) -> str:
        """Append a token; return the text that has become safe to show."""
        self.ids.append(token)
        # Decoded behind the tokens before it: what a token's text is (a blank or not) may depend on them.
        known = self.decode(self.ids[self.before : self.clean])
        grown = self.decode(self.ids[self.before :])
        if not grown.endswith("\ufffd") or len(self.ids) - self.clean >= LONGEST_CHARACTER:
            self.before, self.clean = self.clean, len(self.ids)
            return self.append(grown[len(known) :])
        return ""

    def append(self, piece: str) -> str:
        """Take decoded text; return what of all the text may be shown."""
        searched = max(0, len(self.text) - max(map(len, self.stop), default=0))
        self.text += piece
        ends = [at for stop in self.stop if (at := self.text.find(stop, searched)) >= 0]
        if ends:
            self.text, self.stopped = self.text[: min(ends)], True
        return self.give(len(self.text) - (0 if self.stopped else self.waiting()))

    def waiting(self) -> int:
        """Count the characters at the end that may be the beginning of a stop sequence."""
        return max(
            (size for stop in self.stop for size in range(1, len(stop)) if self.text.endswith(stop[:size])), default=0
        )

    def give(self, end: int) -> str:
        """Return what of the text has not been shown, up to `end`."""
        start, self.num_given = self.num_given, max(self.num_given, end)
        return self.text[start:end]

    def finish(self) -> str:
        """Return what still waits; no token will follow."""
        if self.stopped:
            return ""
        known = self.decode(self.ids[self.before : self.clean])
        return self.append(self.decode(self.ids[self.before :])[len(known) :]) + self.give(len(self.text))
