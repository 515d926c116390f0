"""The control characters by which the passes of the renderer tell each other what they found.

XML 1.0 allows none of them in a dump; from any other text they are removed before the first pass.
"""

KEPT = "\1%d\2"
"""Stands for a piece of text that is not wikitext (a formula, <nowiki>) until the end."""
HOLE = "\3"
"""Where something was dropped from within a line."""
LOST = "\4" + HOLE
"""The same, where it was a template that a reader sees and lmpipe does not know."""
PIPE = "\5"
"""A | that separates nothing."""
APOSTROPHE = "\6"
"""An apostrophe that is text."""
EQUALS = "\7"
"""An = that names no argument."""
MARKS = "\1\2" + LOST + PIPE + APOSTROPHE + EQUALS
