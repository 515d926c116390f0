"""The elements of the page: sections, figures, tables and paragraphs, with every text escaped."""

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from lmpipe.report import charts

Draw = Callable[[charts.Spec, str], str]
"""Makes the drawing of a chart, which has a name."""

NUMBER = re.compile(r"[\d,.]+(e\+\d+)?( %)?( to [\d,.]+(e\+\d+)?)?|–|")
"""What a column of numbers holds; it is set to the right."""


def section(place: str, title: str, body: str) -> str:
    """Make one part of the page."""
    return f'<section id="{place}"><h2>{escape(title)}</h2>{body}</section>\n'


def figure(draw: Draw, chart: charts.Spec, title: str, table: Sequence[dict[str, str]]) -> str:
    """Draw a chart with a name for those who do not see it; the table beside it has the numbers."""
    name = escape(f"{title}. The {len(table)} rows of the table below hold the numbers.")
    return f"<figure><figcaption>{escape(title)}</figcaption>{draw(chart, name)}</figure>"


def still(chart: charts.Spec, name: str) -> str:
    """Draw a chart as SVG: nothing on the page runs."""
    return charts.svg(chart).replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def moving(chart: charts.Spec, name: str) -> str:
    """Leave a chart to the page's script, which finds its spec beside the place of the drawing.

    The name is on what is around that place: Vega gives the place a role of its own.
    """
    text = json.dumps(chart, ensure_ascii=False).replace("<", "\\u003c")  # a name may hold </script>
    spec = f'<script type="application/json">{text}</script>'
    return f'<div class="chart" role="img" aria-label="{name}"><div class="drawing"></div>{spec}</div>'


def tabulate(table: Sequence[dict[str, str]]) -> str:
    """Make a table that scrolls by itself; fingerprints are set as code."""
    names = list(table[0])
    kinds = {name: kind(name, [row[name] for row in table]) for name in names}
    head = "".join(f'<th{kinds[name]} scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{kinds[name]}>{cell(name, row[name])}</td>" for name in names) + "</tr>" for row in table
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(name: str, value: str) -> str:
    """Write what stands in one cell."""
    return f"<code>{escape(value)}</code>" if name.startswith("fingerprint") else escape(value)


def kind(name: str, values: Sequence[str]) -> str:
    """Give the class of a column by its name and what it holds."""
    if name == "reasons":
        return ' class="wide"'
    return ' class="number"' if all(NUMBER.fullmatch(value) for value in values) else ""


def note(text: str) -> str:
    """Make a paragraph of explanation."""
    return f'<p class="quiet">{escape(text)}</p>'


def escape(value: Any) -> str:
    """Make text safe inside HTML and its attributes."""
    return html.escape(str(value), quote=True)
