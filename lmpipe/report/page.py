"""Build the report: one HTML page without scripts that works offline, in the dark and on a phone."""

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmpipe.report import charts, rows
from lmpipe.storage import replacing

CURVES = 12
"""Runs whose loss curves are shown: the last evaluated."""

DATASETS = 200
"""Datasets that are listed; the query 'datasets' has them all."""

NUMBER = re.compile(r"[\d,.]+(e\+\d+)?( %)?( to [\d,.]+(e\+\d+)?)?|–|")
"""What a column of numbers holds; it is set to the right."""

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1f23; --quiet: #5a626b; --line: #d8dce1; --card: #f6f7f9 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e4e7ea; --quiet: #a3abb4; --line: #353b42; --card: #1c2024 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1120px; padding: 16px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 Arial, "Liberation Sans", sans-serif }
h1 { font-size: 26px; margin: 8px 0 }
h2 { font-size: 20px; margin: 36px 0 4px } h3 { font-size: 16px; margin: 20px 0 4px }
p { margin: 4px 0 10px; max-width: 75ch } .quiet { color: var(--quiet) }
nav a { display: inline-block; margin-right: 14px } a { color: inherit }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 12px 0; padding: 12px 16px; background: var(--card);
  border-radius: 6px } .facts div { min-width: 90px } .facts dt { color: var(--quiet); font-size: 13px }
.facts dd { margin: 0; font-weight: bold }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 12px 28px }
figure { margin: 10px 0; min-width: 0 } figcaption { font-weight: bold; margin-bottom: 6px }
svg { display: block; width: 100%; max-width: 560px; height: auto; overflow: visible }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; max-height: 480px }
table { border-collapse: collapse; width: 100%; font-size: 13px } th, td { padding: 5px 10px; text-align: left }
th { position: sticky; top: 0; background: var(--card); white-space: nowrap }
td { border-top: 1px solid var(--line); vertical-align: top; white-space: nowrap }
td.wide { min-width: 240px; white-space: normal }
.number { text-align: right; font-variant-numeric: tabular-nums }
code { font: 12px/1.5 "Liberation Mono", monospace; overflow-wrap: anywhere }
"""


def build_report(results: Path, out: Path) -> Path:
    """Write the report on a published database to `out`, by rename, and return `out`.

    Raises WarehouseError when there is no database yet.
    """
    scores = rows.ask(results, "perplexity")
    curves = rows.ask(results, "loss_curves", {"runs": CURVES, "points": charts.CURVE_POINTS})
    palette = charts.run_colours(row["name"] for row in (*scores, *curves))
    sections = [
        section("perplexity", "Perplexity", perplexity(scores, palette)),
        section("funnel", "What became of the documents", funnel(results)),
        section("holes", "Holes in Wikipedia's text", holes(results)),
        section("tokens", "Tokens per source", tokens(results)),
        section("loss", "Loss curves", loss(curves, palette)),
        section("scaling", "Scaling laws", scaling(results)),
        section("lineage", "Where the best number comes from", lineage(results, scores)),
        section("datasets", "Datasets", datasets(results)),
    ]
    text = page(header(results), sections)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def page(head: str, sections: list[str]) -> str:
    """Put the page together; its policy allows nothing but its own style."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lmpipe report</title>
<style>{STYLE}</style>
</head>
<body>
{head}
<main>
{"".join(sections)}
</main>
</body>
</html>
"""


def header(results: Path) -> str:
    """Say what the results cover, of when and made with which version."""
    [found] = rows.ask(results, "summary")
    facts = {
        "Recipe": found["recipes"] or rows.UNKNOWN,
        "Last change (UTC)": rows.moment(found["changed"]),
        "lmpipe": found["versions"] or rows.UNKNOWN,
        "Last flow run": found["last_flow_run"] or rows.UNKNOWN,
        "Datasets": rows.whole(found["datasets"]),
        "Runs": rows.whole(found["runs"]),
        "Evaluations": rows.whole(found["evaluations"]),
        "Documents scored": rows.whole(found["documents_scored"]),
    }
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    places = ("perplexity", "funnel", "holes", "tokens", "loss", "scaling", "lineage", "datasets")
    links = "".join(f'<a href="#{place}">{place}</a>' for place in places)
    return f'<header><h1>lmpipe report</h1><dl class="facts">{items}</dl><nav>{links}</nav></header>'


def perplexity(scores: charts.Rows, palette: charts.Palette) -> str:
    """Show each group of comparable evaluations: charts, table and protocols."""
    if not scores:
        return note("No evaluation yet.")
    groups = itertools.groupby(scores, key=lambda row: row["comparables"])
    parts = [comparable_group(list(group), palette) for _, group in groups]
    return note(
        "Lower is better. Bits per byte compares between vocabularies, token perplexity only within one."
        " Lines and ranges are 95 % intervals over documents; one document has none."
    ) + "".join(parts)


def comparable_group(scores: charts.Rows, palette: charts.Palette) -> str:
    """Show evaluations of the same documents under comparable protocols."""
    protocols = {text: f"P{number}" for number, text in enumerate(dict.fromkeys(row["protocol"] for row in scores), 1)}
    table = [rows.perplexity_row(row) | {"protocol": protocols[row["protocol"]]} for row in scores]
    drawn = [
        figure(charts.interval_chart(scores, measure, title, palette), f"{title} by source and run", table)
        for measure, title in (("bits_per_byte", "Bits per byte"), ("token_perplexity", "Token perplexity"))
    ]
    legend = "".join(f"<p><b>{label}</b> <code>{escape(text)}</code></p>" for text, label in protocols.items())
    return f'<h3>Set {escape(scores[0]["set"])}</h3><div class="charts">{"".join(drawn)}</div>{tabulate(table)}{legend}'


def funnel(results: Path) -> str:
    """Show what was read, skipped, dropped and kept."""
    found = rows.ask(results, "funnel")
    if not found:
        return note("No split dataset yet.")
    table = rows.funnel_rows(results)
    parts = [
        figure(charts.funnel_chart(list(group)), f"Documents of recipe {recipe} by outcome", table)
        for recipe, group in itertools.groupby(found, key=lambda row: row["recipe"])
    ]
    return f'<div class="charts">{"".join(parts)}</div>' + tabulate(table)


def holes(results: Path) -> str:
    """Show how much of each Wikipedia snapshot was lost in rendering."""
    table = rows.hole_rows(results)
    if not table:
        return note("No Wikipedia snapshot yet.")
    return note(
        "Articles with visible holes, such as 'Albedo () or reflection', and templates in running text that left no"
        " text behind. Long articles have more than 4,000 characters."
    ) + tabulate(table)


def tokens(results: Path) -> str:
    """Show the tokens of each source and split."""
    found = rows.ask(results, "tokens_per_source")
    if not found:
        return note("No tokens dataset yet.")
    table = rows.token_rows(results)
    parts = [
        figure(charts.token_chart(list(group)), f"Tokens of recipe {recipe} by source and split", table)
        for recipe, group in itertools.groupby(found, key=lambda row: row["recipe"])
    ]
    return f'<div class="charts">{"".join(parts)}</div>' + tabulate(table)


def loss(curves: charts.Rows, palette: charts.Palette) -> str:
    """Show training and validation losses of the last evaluated runs."""
    if not curves:
        return note("No training yet.")
    last = {(row["name"], row["split"]): row for row in curves}
    table = [
        {"run": name, "split": split, "step": rows.whole(row["step"]), "loss": rows.real(row["loss"])}
        for (name, split), row in last.items()
    ]
    return figure(
        charts.loss_chart(curves, palette), "Loss by step: training as a line, validation dashed", table
    ) + tabulate(table)


def scaling(results: Path) -> str:
    """Show what the trainings of the newest ladders came to, and the law that they follow."""
    points = rows.ask(results, "ladder_points")
    if not points:
        return note("No ladder yet.")
    table = rows.ladder_rows(results)
    parts = [
        figure(charts.ladder_chart(list(group)), f"Ladder {name}: loss by tokens, measured and by the law", table)
        for name, group in itertools.groupby(points, key=lambda row: row["ladder"])
    ]
    return (
        note(
            "L = E + A / N^alpha + B / D^beta for N parameters and D tokens (Hoffmann et al. 2022); intervals hold"
            " 95 % of resampled trainings. Far outside the trainings a law foretells little."
        )
        + f'<div class="charts">{"".join(parts)}</div>{tabulate(table)}'
    )


def lineage(results: Path, scores: charts.Rows) -> str:
    """Follow the best run of the newest group back to its raw files."""
    best = next((row for row in scores if row["slice"] == "all" and row["place"] == 1), None)
    if best is None:
        return note("No evaluation yet.")
    number = f"{rows.real(best['bits_per_byte'])} bits per byte on set {best['set']}, by run {best['name']}"
    return note(f"{number}, was made from these raw files, datasets and this run.") + tabulate(
        [
            *rows.lineage_rows(results, best["evaluation"]),
            {"kind": "evaluation", "name": number, "bytes": "", "fingerprint or sha256": best["evaluation"]},
        ]
    )


def datasets(results: Path) -> str:
    """List the newest datasets."""
    found = rows.dataset_rows(results)
    if not found:
        return note("No dataset yet.")
    more = note(f"The newest {DATASETS} of {len(found)}.") if len(found) > DATASETS else ""
    return more + tabulate(found[:DATASETS])


def section(place: str, title: str, body: str) -> str:
    """Make one part of the page."""
    return f'<section id="{place}"><h2>{escape(title)}</h2>{body}</section>\n'


def figure(chart: charts.Spec, title: str, table: Sequence[dict[str, str]]) -> str:
    """Draw a chart with a name for those who do not see it; the table beside it has the numbers."""
    name = escape(f"{title}. The {len(table)} rows of the table below hold the numbers.")
    drawing = charts.svg(chart).replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawing}</figure>"


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
