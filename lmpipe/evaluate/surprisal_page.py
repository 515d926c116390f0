"""Surprisal as something to look at: a heat map in one HTML file, and coloured text in a terminal.

The colour says how many bits a piece cost, on one scale for all texts, so that two pages can be laid side by side.
Colour is never the only carrier: every piece has its number as a tooltip, and the page holds all of them as a table.
"""

import html
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
from rich.text import Text

MOST = 16.0
"""Bits at full colour: what a token of 65,536 costs a model that knows nothing."""
STYLE = """
:root { color-scheme: light dark; --heat: light-dark(#f0883e, #b35900); }
body { font: 1rem/1.9 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; line-height: 1.3; } h2 { font-size: 1.1rem; line-height: 1.3; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.text span { background: color-mix(in srgb, var(--heat) calc(var(--s) * 1%), transparent); border-radius: 2px; }
.text span:hover { outline: 1px solid; }
.scale { display: flex; align-items: center; gap: .5rem; font-size: .85rem; }
.scale i { width: 12rem; height: .8rem; background: linear-gradient(to right, transparent, var(--heat)); }
table { border-collapse: collapse; font-size: .85rem; line-height: 1.4; } td, th { padding: .1rem .6rem; }
td { white-space: pre; } td:nth-child(n + 2), th:nth-child(n + 2) { text-align: right; }
summary { cursor: pointer; }
"""


def heat_map(rows: pa.Table, title: str) -> str:
    """Write rows of surprisal.SURPRISAL, of one unit, as an HTML page that needs nothing else."""
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="scale">0 bits <i aria-hidden="true"></i> {MOST:g} bits and more</p>',
    ]
    for name, cells in groupby(rows.to_pylist(), key=lambda row: row["text"]):
        parts += section(name, list(cells))
    return "\n".join([*parts, "</main></body></html>\n"])


def section(name: str, cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Write one text: its sums, the text itself, and the numbers as a table."""
    yield f"<section><h2>{html.escape(name)}</h2><p>{html.escape(summary(cells))}</p>"
    # in one line: between the pieces no sign may come in
    yield f'<p class="text">{"".join(map(span, cells))}</p>'
    yield "<details><summary>Table of all numbers</summary><table>"
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("piece", "bits", "tokens"))
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    yield from (
        f"<tr><td>{html.escape(cell['piece'])}</td><td>{bits(cell):.2f}</td><td>{cell['tokens']}</td></tr>"
        for cell in cells
    )
    yield "</tbody></table></details></section>"


def span(cell: dict[str, Any]) -> str:
    """Write one piece with its colour and its number."""
    share = 100 * min(max(bits(cell), 0) / MOST, 1)
    tokens = f", {cell['tokens']} tokens" if cell["tokens"] > 1 else ""
    note = f'style="--s:{share:.0f}" title="{bits(cell):.2f} bits{tokens}"'
    return f"<span {note}>{html.escape(cell['piece'])}</span>"


def summary(cells: Sequence[dict[str, Any]]) -> str:
    """Say what a text costs as a whole."""
    total, size = sum(map(bits, cells)), sum(cell["bytes"] for cell in cells)
    tokens = sum(cell["tokens"] for cell in cells)
    return f"{total:,.1f} bits, {tokens:,} tokens, {size:,} bytes, {total / max(size, 1):.3f} bits per byte"


def bits(cell: dict[str, Any]) -> float:
    """Give what a piece costs in bits."""
    return float(cell["nats"] / math.log(2))


def coloured(cells: Sequence[dict[str, Any]]) -> Text:
    """Write a text for the terminal, from no background (0 bits) to red (MOST), with black letters on colours."""
    text = Text()
    for cell in cells:
        share = min(max(bits(cell), 0) / MOST, 1)
        low = round(255 * (1 - share))
        text.append(cell["piece"], style=f"black on rgb(255,{low},{round(low * 0.8)})")
    return text
