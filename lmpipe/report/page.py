"""Build the report: one HTML page that works offline, in the dark and on a phone; without scripts, or interactive.

Both pages are made of the same charts and tables. The first holds drawings and runs nothing, so that it can be
mailed and shown anywhere; the second draws the charts in the browser, with values under the pointer.
"""

import base64
import functools
import hashlib
from pathlib import Path

import vl_convert

from lmpipe.report import charts, rows, sections
from lmpipe.report.elements import Draw, escape, moving, section, still
from lmpipe.storage import replacing

CURVES = 12
"""Runs whose loss curves are shown: the last evaluated."""

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

SCRIPT = """
for (const place of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(place.querySelector("script").textContent);
  vegaEmbed(place.querySelector(".drawing"), spec, { actions: false, renderer: "svg", logLevel: 1 });
}
"""
"""Draws every chart that `moving` has left to it."""


def build_report(results: Path, out: Path) -> Path:
    """Write the report on a published database to `out`, by rename, and return `out`.

    Raises WarehouseError when there is no database yet.
    """
    policy = f"style-src '{sha256(STYLE)}'"
    return write_page(body(results, still), policy, "", out)


def build_interactive_report(results: Path, out: Path) -> Path:
    """Write the same with charts that answer the pointer: a page of one megabyte, most of it Vega, offline too.

    Raises WarehouseError when there is no database yet.
    """
    script = f"{vega()}\n{SCRIPT}"
    # Vega compiles expressions into functions, and its tooltip brings a style of its own
    policy = f"script-src '{sha256(script)}' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
    return write_page(body(results, moving), policy, f"<script>{script}</script>", out)


def body(results: Path, draw: Draw) -> str:
    """Make the header and all sections; `draw` says how charts come onto the page."""
    scores = [row for row in rows.ask(results, "perplexity") if row["slice"] != "lang" and not row["variant"]]
    curves = rows.ask(results, "loss_curves", {"runs": CURVES, "points": charts.CURVE_POINTS})
    palette = charts.run_colours(row["name"] for row in (*scores, *curves))
    parts = {
        "leaderboard": ("Leaderboard", sections.leaderboard(scores, palette, draw)),
        "perplexity": ("Perplexity by source", sections.perplexity(scores, palette, draw)),
        "ablation": ("What each part of a recipe is worth", sections.ablation(results, draw)),
        "funnel": ("What became of the documents", sections.funnel(results, draw)),
        "holes": ("Holes in Wikipedia's text", sections.holes(results)),
        "tokens": ("Tokens per source", sections.tokens(results, draw)),
        "loss": ("Loss curves", sections.loss(curves, palette, draw)),
        "scaling": ("Scaling laws", sections.scaling(results, draw)),
        "lineage": ("Where the best number comes from", sections.lineage(results, scores)),
        "bottlenecks": ("Where the time went", sections.bottlenecks(results, draw)),
        "datasets": ("Datasets", sections.datasets(results)),
    }
    main = "".join(section(place, title, text) for place, (title, text) in parts.items())
    return f"{header(results, list(parts))}<main>\n{main}</main>\n"


def write_page(content: str, policy: str, script: str, out: Path) -> Path:
    """Put the page together and write it by rename; its policy allows nothing but its own style and script."""
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {policy}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lmpipe report</title>
<style>{STYLE}</style>
</head>
<body>
{content}{script}
</body>
</html>
"""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def sha256(text: str) -> str:
    """Name a style or script as a policy does."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def vega() -> str:
    """Bundle Vega and Vega-Lite; nothing but the end tag needs escaping inside a script."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=charts.VEGA_LITE)
    return bundle.replace("</script", "<\\/script")


def header(results: Path, places: list[str]) -> str:
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
    links = "".join(f'<a href="#{place}">{place}</a>' for place in places)
    return f'<header><h1>lmpipe report</h1><dl class="facts">{items}</dl><nav>{links}</nav></header>'
