"""Charts as Vega-Lite specs in plain dicts, drawn as SVG for the page and as PNG for Prefect.

Text, axes and grid take the colour of the text around them (currentColor), so that one SVG is
readable on a light and on a dark page; the series colours have a contrast of at least 3 to either.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from lmpipe.errors import WarehouseError
from lmpipe.report.rows import ask

Rows = Sequence[dict[str, Any]]
Spec = dict[str, Any]
Palette = dict[str, str]
"""Run to colour."""

VEGA_LITE = "6.1"
"""Version of the specs below; vl-convert carries several."""

FONT = 'Arial, "Liberation Sans", sans-serif'
"""vl-convert measures labels with it: another font on the page would clip them."""

WIDTH = 460
"""Pixels of a whole chart: near the width of a phone, so that its text stays readable there."""

SERIES = ("#3b82c4", "#d2691e", "#2e9163", "#a65bc0", "#cc5064", "#7f8420", "#2292a4", "#8a6d5b")
"""Colours of runs; more runs than colours use them again."""

OUTCOMES = {
    "kept": "#2e9163",
    "duplicates": "#a65bc0",
    "dropped": "#d2691e",
    "quarantined": "#cc5064",
    "skipped": "#808790",
}
"""What becomes of a document, in the order of the bars."""

SPLITS = {"train": "#3b82c4", "valid": "#d2691e", "test": "#2e9163"}
"""Colours of the splits."""

SHORT = 12
"""Characters of a name of which three fit side by side below a chart."""

CURVE_POINTS = 200
"""Points of a loss curve at most: more than a chart of this width can show."""


def run_colours(names: Iterable[str]) -> Palette:
    """Give every run a colour, the same one in every chart of a page."""
    return dict(zip(sorted(set(names)), itertools.cycle(SERIES), strict=False))


def interval_chart(rows: Rows, measure: str, title: str, palette: Palette) -> Spec:
    """Show a measure by source (down) and run (colour), with its 95 % interval."""
    names = slice_names(rows)
    runs = list(dict.fromkeys(row["name"] for row in rows))
    low, high = f"{measure}_low", f"{measure}_high"
    scale = {"zero": False, "nice": True}
    axis = {"type": "quantitative", "title": title, "scale": scale}
    return spec(
        [
            {"slice": name} | {key: row[key] for key in ("name", measure, low, high)}
            for name, row in zip(names, rows, strict=True)
            if row[measure] is not None
        ],
        height=18 * len(set(names)) * len(runs),
        encoding={
            "y": {
                "field": "slice",
                "type": "nominal",
                "title": None,
                "sort": list(dict.fromkeys(names)),
                "axis": {"grid": True},
            },
            "yOffset": {"field": "name", "sort": runs},
            "color": colours("name", {run: palette[run] for run in runs}),
        },
        layer=with_interval({"x": {"field": measure, **axis}}, low, high, axis),
    )


def board_chart(rows: Rows, palette: Palette) -> Spec:
    """Show the bits per byte of each run (down) with its 95 % interval, best first."""
    shown = [row for row in rows if row["bits_per_byte"] is not None]
    fields = ("name", "bits_per_byte", "bits_per_byte_low", "bits_per_byte_high")
    low, high = fields[2:]
    axis = {"type": "quantitative", "title": "bits per byte", "scale": {"zero": False, "nice": True}}
    names = list(dict.fromkeys(row["name"] for row in shown))
    colour = colours("name", {name: palette[name] for name in names}) | {"legend": None}
    return spec(
        [{key: row[key] for key in fields} for row in shown],
        height=26 * len(names),
        encoding={"y": {"field": "name", "type": "nominal", "title": None, "sort": names}, "color": colour},
        layer=with_interval({"x": {"field": "bits_per_byte", **axis}}, low, high, axis),
    )


def ablation_chart(rows: Rows) -> Spec:
    """Show the difference that each dropped part makes (down), by slice (colour), around a line at zero."""
    slices = run_colours(row["column"] for row in rows)
    axis = {"type": "quantitative", "title": "bits per byte without, minus with", "scale": {"nice": True}}
    fields = ("dropped", "column", "difference", "difference_low", "difference_high")
    where = {
        "y": {"field": "dropped", "type": "nominal", "title": None, "axis": {"grid": True}},
        "yOffset": {"field": "column"},
        "color": colours("column", slices),
    }
    drawn = with_interval({"x": {"field": "difference", **axis}}, "difference_low", "difference_high", axis)
    return spec(
        [{key: row[key] for key in fields} for row in rows if row["difference"] is not None],
        height=16 * len({row["dropped"] for row in rows}) * len(slices),
        layer=[
            {
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": "currentColor", "tooltip": None},
                "encoding": {"x": {"datum": 0, **axis}},
            },
            *({**layer, "encoding": where | layer["encoding"]} for layer in drawn),
        ],
    )


def with_interval(measure: Spec, low: str, high: str, axis: Spec) -> list[Spec]:
    """Lay a point over the line from the low end of its interval to the high one; one without interval stands alone."""
    return [
        {
            "transform": [{"filter": f"isValid(datum['{low}'])"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": {"field": low, **axis}, "x2": {"field": high}},
        },
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": measure},
    ]


def stage_chart(rows: Rows) -> Spec:
    """Show the wall seconds of each stage, the longest on top."""
    return spec(
        [{key: row[key] for key in ("stage", "seconds")} for row in rows],
        height=20 * len(rows),
        mark={"type": "bar", "color": SERIES[0]},
        encoding={
            "y": {"field": "stage", "type": "nominal", "title": None, "sort": None},
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds", "axis": {"tickCount": 5}},
        },
    )


def slice_names(rows: Rows) -> list[str]:
    """Name each row by its source, and by its language too where the source has several."""
    languages: dict[str, set[str | None]] = {}
    for row in rows:
        languages.setdefault(row["source"], set()).add(row["lang"])
    return [row["source"] if len(languages[row["source"]]) == 1 else f"{row['source']} ({row['lang']})" for row in rows]


def funnel_chart(rows: Rows) -> Spec:
    """Show what became of every document of each source, as shares."""
    return spec(
        [
            {"source": row["source"], "outcome": outcome, "documents": row[outcome], "order": order}
            for row in rows
            for order, outcome in enumerate(OUTCOMES)
        ],
        height=26 * len({row["source"] for row in rows}),
        mark={"type": "bar"},
        encoding={
            "y": {"field": "source", "type": "nominal", "title": None, "sort": None},
            "x": {
                "field": "documents",
                "type": "quantitative",
                "stack": "normalize",
                "title": "share of documents read",
                "axis": {"format": ".0%"},
            },
            "color": colours("outcome", OUTCOMES),
            "order": {"field": "order", "type": "quantitative"},
        },
    )


def token_chart(rows: Rows) -> Spec:
    """Show the tokens of each source by split."""
    order = {split: place for place, split in enumerate(SPLITS)}
    return spec(
        [{key: row[key] for key in ("source", "split", "tokens")} | {"order": order[row["split"]]} for row in rows],
        height=26 * len({row["source"] for row in rows}),
        mark={"type": "bar"},
        encoding={
            "y": {"field": "source", "type": "nominal", "title": None},
            "x": {
                "field": "tokens",
                "type": "quantitative",
                "title": "tokens",
                "axis": {"format": "~s", "tickCount": 5},
            },
            "color": colours("split", SPLITS),
            "order": {"field": "order", "type": "quantitative"},
        },
    )


def loss_chart(rows: Rows, palette: Palette) -> Spec:
    """Show loss by step: a line for training, a dashed one with points for validation."""
    runs = dict.fromkeys(row["name"] for row in rows)
    axes = {
        "x": {"field": "step", "type": "quantitative", "title": "step", "axis": {"format": "~s", "tickCount": 6}},
        "y": {"field": "loss", "type": "quantitative", "title": "loss (nats per token)", "scale": {"zero": False}},
        "color": colours("name", {run: palette[run] for run in runs}),
        "detail": {"field": "name"},
    }
    train = {"type": "line", "strokeWidth": 1.5}
    valid = {"type": "line", "strokeDash": [5, 3], "point": {"filled": True, "size": 30}}
    return spec(
        [{key: row[key] for key in ("name", "split", "step", "loss")} for row in rows],
        height=240,
        encoding=axes,
        layer=[
            {"transform": [{"filter": f"datum.split == '{split}'"}], "mark": mark}
            for split, mark in (("train", train), ("valid", valid))
        ],
    )


def ladder_chart(rows: Rows) -> Spec:
    """Show loss by tokens for each size: points as measured, lines as the law has it."""
    labels = {row["parameters"]: f"{row['parameters'] / 1e6:.3g} M" for row in rows}
    log = {"type": "log", "nice": False}
    return spec(
        [
            {"size": labels[row["parameters"]]} | {key: row[key] for key in ("tokens", "loss", "foretold")}
            for row in rows
        ],
        height=240,
        encoding={
            "x": {"field": "tokens", "type": "quantitative", "scale": log, "axis": {"format": "~s", "tickCount": 5}},
            "color": colours("size", run_colours(labels.values())),
        },
        layer=[
            {"mark": mark, "encoding": {"y": loss_axis(field)}}
            for mark, field in (
                ({"type": "line", "strokeWidth": 1.5}, "foretold"),
                ({"type": "point", "filled": True, "size": 50, "opacity": 1}, "loss"),
            )
        ],
    )


def loss_axis(field: str) -> Spec:
    """Lay out a loss on a logarithmic scale, on which a power law is straight."""
    scale = {"type": "log", "nice": False}
    return {"field": field, "type": "quantitative", "title": "loss (nats per token)", "scale": scale}


def spec(rows: Rows, **body: Any) -> Spec:
    """Complete a chart with what all have in common."""
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE}.json",
        "width": WIDTH,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "data": {"values": list(rows)},
        "config": CONFIG,
        **body,
    }


INK = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
CONFIG: Spec = {
    "font": FONT,
    "aria": False,
    "mark": {"tooltip": {"content": "data"}},
    "view": {"stroke": None},
    "axis": {
        **INK,
        "labelFontSize": 13,
        "titleFontSize": 13,
        "labelLimit": 220,
        "gridColor": "currentColor",
        "gridOpacity": 0.15,
        "domainColor": "currentColor",
        "domainOpacity": 0.4,
        "tickColor": "currentColor",
        "tickOpacity": 0.4,
    },
    "legend": {**INK, "orient": "bottom", "labelFontSize": 13, "labelLimit": 220, "symbolOpacity": 1},
}


def colours(field: str, scale: dict[str, str]) -> Spec:
    """Map the values of a field to fixed colours, in fixed order."""
    return {
        "field": field,
        "type": "nominal",
        "legend": {"title": None, "columns": 3 if max(map(len, scale)) <= SHORT else 2},
        "scale": {"domain": list(scale), "range": list(scale.values())},
    }


def svg(chart: Spec) -> str:
    """Draw a chart as SVG text."""
    text: str = vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE)
    return text


def ladder_png(results: Path, ladder: str) -> bytes:
    """Draw the newest ladder of a name as a PNG on white.

    Raises WarehouseError when there is none.
    """
    rows = [row for row in ask(results, "ladder_points") if row["ladder"] == ladder]
    if not rows:
        raise WarehouseError(f"{results}: no ladder '{ladder}'. Run `lmpipe ladder` on its recipe first.")
    picture: bytes = vl_convert.vegalite_to_png(ladder_chart(rows) | {"background": "white"}, vl_version=VEGA_LITE)
    return picture


def loss_curve_png(results: Path, run: str) -> bytes:
    """Draw the loss of one run (its fingerprint) as a PNG on white, below 60 kB.

    Raises WarehouseError when the run has no losses.
    """
    rows = ask(results, "loss_of_run", {"run": run, "points": CURVE_POINTS})
    if not rows:
        raise WarehouseError(
            f"{results}: no loss of run '{run}'. Record the run first, and give its whole fingerprint."
        )
    chart = loss_chart(rows, run_colours(row["name"] for row in rows)) | {"background": "white"}
    picture: bytes = vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE)
    return picture
