"""The sections of the page, each from the answer of a saved query: a chart, a table, and what to know about them."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from lmpipe.report import charts, rows
from lmpipe.report.elements import Draw, escape, figure, note, tabulate

DATASETS = 200
"""Datasets that are listed; the query 'datasets' has them all."""


def grouped(
    draw: Draw,
    chart: Callable[[charts.Rows], charts.Spec],
    found: charts.Rows,
    key: str,
    title: str,
    table: Sequence[dict[str, str]],
) -> str:
    """Draw a chart for each value of a column, whose name goes into the title, above one table of all."""
    parts = [
        figure(draw, chart(list(group)), title.format(name), table)
        for name, group in itertools.groupby(found, key=lambda row: row[key])
    ]
    return f'<div class="charts">{"".join(parts)}</div>{tabulate(table)}'


def leaderboard(scores: charts.Rows, palette: charts.Palette, draw: Draw) -> str:
    """Rank the runs on each set, by bits per byte over all documents."""
    whole = [row for row in scores if row["slice"] == "all"]
    if not whole:
        return note("No evaluation yet.")
    groups = [list(group) for _, group in itertools.groupby(whole, key=lambda row: row["comparables"])]
    parts = []
    for group in groups:
        table = [rows.leaderboard_row(row) for row in group]
        title = f"{rows.scoring(group[0])}: bits per byte by run"
        if any(row["bits_per_byte"] is not None for row in group):
            parts.append(figure(draw, charts.board_chart(group, palette), title, table))
        parts.append(tabulate(table))
    return note(
        "Lower is better. Runs are ranked only with those that scored the same documents by the same protocol;"
        " lines are 95 % intervals over a thousand resamples of the documents."
    ) + "".join(parts)


def perplexity(scores: charts.Rows, palette: charts.Palette, draw: Draw) -> str:
    """Show each group of comparable evaluations: charts, table and protocols."""
    if not scores:
        return note("No evaluation yet.")
    groups = itertools.groupby(scores, key=lambda row: row["comparables"])
    parts = [comparable_group(list(group), palette, draw) for _, group in groups]
    return note(
        "Lower is better. Bits per byte compares between vocabularies, token perplexity only within one."
        " Lines and ranges are 95 % intervals over documents; one document has none."
    ) + "".join(parts)


def comparable_group(scores: charts.Rows, palette: charts.Palette, draw: Draw) -> str:
    """Show evaluations of the same documents under comparable protocols."""
    protocols = {text: f"P{number}" for number, text in enumerate(dict.fromkeys(row["protocol"] for row in scores), 1)}
    table = [rows.perplexity_row(row) | {"protocol": protocols[row["protocol"]]} for row in scores]
    drawn = [
        figure(draw, charts.interval_chart(scores, measure, title, palette), f"{title} by source and run", table)
        for measure, title in (("bits_per_byte", "Bits per byte"), ("token_perplexity", "Token perplexity"))
    ]
    legend = "".join(f"<p><b>{label}</b> <code>{escape(text)}</code></p>" for text, label in protocols.items())
    return (
        f'<h3>{escape(rows.scoring(scores[0]))}</h3><div class="charts">{"".join(drawn)}</div>{tabulate(table)}{legend}'
    )


def ablation(results: Path, draw: Draw) -> str:
    """Show what each part of a recipe does to the perplexity."""
    found = rows.ablation_cells(results)
    if not found:
        return note("No ablation yet: `lmpipe ablate`.")
    title = "Recipe {}: bits per byte without, minus with"
    return note(
        "The recipe without one part at a time, scored on the same documents in the same tokens: bits per byte"
        " without it, minus those with it. Above zero, the part helps. In brackets the 95 % interval over documents"
        " and seeds; a star where it leaves out zero."
    ) + grouped(draw, charts.ablation_chart, found, "recipe", title, rows.ablation_rows(results))


def funnel(results: Path, draw: Draw) -> str:
    """Show what was read, skipped, dropped and kept."""
    found = rows.ask(results, "funnel")
    if not found:
        return note("No split dataset yet.")
    title = "Documents of recipe {} by outcome"
    return grouped(draw, charts.funnel_chart, found, "recipe", title, rows.funnel_rows(results))


def holes(results: Path) -> str:
    """Show how much of each Wikipedia snapshot was lost in rendering."""
    table = rows.hole_rows(results)
    if not table:
        return note("No Wikipedia snapshot yet.")
    return note(
        "Articles with visible holes, such as 'Albedo () or reflection', and templates in running text that left no"
        " text behind. Long articles have more than 4,000 characters."
    ) + tabulate(table)


def tokens(results: Path, draw: Draw) -> str:
    """Show the tokens of each source and split."""
    found = rows.ask(results, "tokens_per_source")
    if not found:
        return note("No tokens dataset yet.")
    title = "Tokens of recipe {} by source and split"
    return grouped(draw, charts.token_chart, found, "recipe", title, rows.token_rows(results))


def loss(curves: charts.Rows, palette: charts.Palette, draw: Draw) -> str:
    """Show training and validation losses of the last evaluated runs."""
    if not curves:
        return note("No training yet.")
    last = {(row["name"], row["split"]): row for row in curves}
    table = [
        {"run": name, "split": split, "step": rows.whole(row["step"]), "loss": rows.real(row["loss"])}
        for (name, split), row in last.items()
    ]
    return figure(
        draw, charts.loss_chart(curves, palette), "Loss by step: training as a line, validation dashed", table
    ) + tabulate(table)


def scaling(results: Path, draw: Draw) -> str:
    """Show what the trainings of the newest ladders came to, and the law that they follow."""
    points = rows.ask(results, "ladder_points")
    if not points:
        return note("No ladder yet.")
    title = "Ladder {}: loss by tokens, measured and by the law"
    return note(
        "L = E + A / N^alpha + B / D^beta for N parameters and D tokens (Hoffmann et al. 2022); intervals hold"
        " 95 % of resampled trainings. Far outside the trainings a law foretells little."
    ) + grouped(draw, charts.ladder_chart, points, "ladder", title, rows.ladder_rows(results))


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


def bottlenecks(results: Path, draw: Draw) -> str:
    """Show where the time went."""
    found = rows.ask(results, "stage_seconds")
    if not found:
        return note("No dataset yet.")
    table = rows.stage_rows(results)
    return note("Wall time of each stage, in the newest datasets of each name; trainings by their own clock.") + (
        figure(draw, charts.stage_chart(found), "Seconds by stage", table) + tabulate(table)
    )


def datasets(results: Path) -> str:
    """List the newest datasets."""
    found = rows.dataset_rows(results)
    if not found:
        return note("No dataset yet.")
    more = note(f"The newest {DATASETS} of {len(found)}.") if len(found) > DATASETS else ""
    return more + tabulate(found[:DATASETS])
