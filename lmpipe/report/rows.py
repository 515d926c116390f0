"""Answers of saved queries as rows of plain text: for the page's tables and for Prefect's.

Numbers become text here and nowhere else; what is not known is a dash, never inf or NaN.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lmpipe.warehouse import query_file, saved_sql

UNKNOWN = "–"


def ask(results: Path, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a saved query on a published copy and return its rows as values."""
    rows: list[dict[str, Any]] = query_file(results, saved_sql(name), parameters).to_pylist()
    return rows


def perplexity_rows(results: Path) -> list[dict[str, str]]:
    """Give perplexity and bits per byte by run and source as text, with 95 % intervals."""
    return [perplexity_row(row) | {"protocol": row["protocol"]} for row in ask(results, "perplexity")]


def perplexity_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Lay out one row of the query perplexity."""
    return {
        "source": row["source"],
        "lang": row["lang"] or UNKNOWN,
        "run": row["name"],
        "place": whole(row["place"]) if row["slice"] == "all" else "",
        "bits per byte": real(row["bits_per_byte"]),
        "95 % of bits per byte": interval(row, "bits_per_byte"),
        "token perplexity": real(row["token_perplexity"]),
        "95 % of token perplexity": interval(row, "token_perplexity"),
        "word perplexity": real(row["word_perplexity"]),
        "documents": whole(row["documents"]),
        "tokens": whole(row["tokens"]),
        "bytes": whole(row["bytes"]),
    }


def scoring(row: dict[str, Any]) -> str:
    """Name what runs were scored on and how: set and windows, from the protocol."""
    parts = dict(part.partition(":")[::2] for part in row["protocol"].split("|"))
    name: str = row["set"].partition("@")[0]
    if "win" not in parts:
        return name
    if parts["reset"] == "doc":
        return f"{name}, windows of {parts['win']} tokens with a carried state"
    return f"{name}, windows of {parts['win']} tokens, one every {parts['stride']}"


def leaderboard_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Lay out one run on the leaderboard."""
    return {
        "place": whole(row["place"]),
        "run": row["name"],
        "bits per byte": real(row["bits_per_byte"]),
        "95 % of bits per byte": interval(row, "bits_per_byte"),
        "token perplexity": real(row["token_perplexity"]),
        "95 % of token perplexity": interval(row, "token_perplexity"),
        "word perplexity": real(row["word_perplexity"]),
        "95 % of word perplexity": interval(row, "word_perplexity"),
        "documents": whole(row["documents"]),
    }


def stage_rows(results: Path) -> list[dict[str, str]]:
    """Give the wall time of each stage as text, the longest first."""
    return [
        {
            "stage": row["stage"],
            "datasets": whole(row["datasets"]),
            "seconds": real(row["seconds"]),
            "share": share(row["share"]),
        }
        for row in ask(results, "stage_seconds")
    ]


def month_rows(results: Path) -> list[dict[str, str]]:
    """Give bits per byte by the month in which documents were written as text, with 95 % intervals."""
    return [
        {
            "source": row["source"],
            "month": row["month"],
            "run": row["run"],
            "documents": whole(row["documents"]),
            "bits per byte": real(row["bits_per_byte"]),
            "95 % of bits per byte": interval(row, "bits_per_byte"),
        }
        for row in ask(results, "perplexity_by_month")
    ]


def worse_sentence(run: str, last: str, row: Mapping[str, Any]) -> str:
    """Say by how much a run is worse than the last, and what to do; `row` is one of the query against_last."""
    which = "all documents" if row["source"] == "all" else f"documents of {row['source']}"
    return (
        f"{run} is worse than {last} on {which}: +{row['difference']:.4f} bits per byte"
        f" ({row['difference_low']:.4f} to {row['difference_high']:.4f}) over {row['documents']} documents that both"
        " scored. Look at what came in since (lmpipe sql --query funnel), or refresh with begin = afresh."
    )


def funnel_rows(results: Path) -> list[dict[str, str]]:
    """Give what became of the documents of each source as text, with the reasons of what was taken out."""
    return [
        {
            "recipe": row["recipe"],
            "source": row["source"],
            "read": whole(row["documents_in"]),
            "skipped": whole(row["skipped"]),
            "quarantined": whole(row["quarantined"]),
            "dropped": whole(row["dropped"]),
            "duplicates": whole(row["duplicates"]),
            "kept": whole(row["kept"]),
            "share kept": share(row["kept_share"]),
            "reasons": row["reasons"] or UNKNOWN,
        }
        for row in ask(results, "funnel")
    ]


def token_rows(results: Path) -> list[dict[str, str]]:
    """Give the tokens of each source and split as text."""
    return [
        {
            "recipe": row["recipe"],
            "split": row["split"],
            "source": row["source"],
            "lang": row["lang"] or UNKNOWN,
            "documents": whole(row["documents"]),
            "tokens": whole(row["tokens"]),
            "share of split": share(row["share"]),
            "bytes per token": real(row["bytes_per_token"]),
            "tokens per word": real(row["tokens_per_word"]),
        }
        for row in ask(results, "tokens_per_source")
    ]


def dataset_rows(results: Path) -> list[dict[str, str]]:
    """Give the datasets as text, newest first."""
    return [
        {
            "stage": row["stage"],
            "name": row["name"],
            "rows": whole(row["rows"]),
            "bytes": whole(row["bytes"]),
            "made (UTC)": moment(row["finished"]),
            "seconds": real(row["seconds"]),
            "version": row["version"],
            "host": row["host"],
            "fingerprint": row["dataset"],
        }
        for row in ask(results, "datasets")
    ]


def hole_rows(results: Path) -> list[dict[str, str]]:
    """Give what was lost in rendering each Wikipedia snapshot as text, newest first."""
    return [
        {
            "source": row["source"],
            "read (UTC)": moment(row["finished"]),
            "articles": whole(row["articles"]),
            "with holes": share(row["hole_rate"]),
            "long articles": whole(row["long_articles"]),
            "long with holes": share(row["long_hole_rate"]),
            "templates in line": whole(row["templates"]),
            "templates lost": share(row["template_loss"]),
            "fingerprint": row["dataset"],
        }
        for row in ask(results, "hole_rates")
    ]


def ladder_rows(results: Path) -> list[dict[str, str]]:
    """Give the laws of the newest ladders and what they foretell as text, with 95 % intervals."""
    return [
        {
            "ladder": row["ladder"],
            "quantity": row["quantity"].replace("best_", "best "),
            "at FLOPs": "" if row["compute"] is None else f"{row['compute']:.3g}",
            "value": UNKNOWN if row["value"] is None else f"{row['value']:.4g}",
            "95 %": UNKNOWN if None in (row["low"], row["high"]) else f"{row['low']:.4g} to {row['high']:.4g}",
        }
        for row in ask(results, "ladder_fits")
    ]


def ablation_cells(results: Path) -> list[dict[str, Any]]:
    """Give the newest ablation of each recipe; `column` names a cell's slice, and its set where there are several."""
    found = [row for row in ask(results, "ablation") if row["slice"] != "lang"]
    several = len({row["set"] for row in found if row["set"] is not None}) > 1
    for row in found:
        name = row["set"].partition("@")[0] if several and row["set"] is not None else None
        row["column"] = f"{name}: {row['source']}" if name is not None else row["source"]
    return found


def ablation_rows(results: Path) -> list[dict[str, str]]:
    """Give the newest ablation of each recipe as text: a row for each thing dropped, a column for each slice."""
    found = ablation_cells(results)
    columns = list(dict.fromkeys(row["column"] for row in found))
    table: dict[tuple[str, str], dict[str, str]] = {}
    for row in found:
        start = {"recipe": row["recipe"], "without": row["dropped"], "seeds": whole(row["seeds"])}
        line = table.setdefault((row["recipe"], row["dropped"]), start | dict.fromkeys(columns, UNKNOWN))
        line[row["column"]] = difference(row) if row["difference"] is not None else row["verdict"]
    return list(table.values())


def ablation_lines(results: Path) -> list[dict[str, str]]:
    """Give the same in a row for each cell: a terminal is narrow."""
    return [
        {"without": row["dropped"], "on": row["column"], "seeds": whole(row["seeds"])}
        | {"bits per byte": difference(row) if row["difference"] is not None else row["verdict"]}
        for row in ablation_cells(results)
    ]


def difference(row: Mapping[str, Any]) -> str:
    """Write a difference with its sign and interval; a star where the interval leaves out zero."""
    value, low, high = row["difference"], row["difference_low"], row["difference_high"]
    if None in (low, high):
        return f"{value:+.4f}"
    star = " *" if row["verdict"] in ("worse without", "better without") else ""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}){star}"


def lineage_rows(results: Path, evaluation: str) -> list[dict[str, str]]:
    """Give what an evaluation was made from as text, raw files first."""
    found = ask(results, "where_from", {"id": evaluation})
    return [
        {"kind": row["kind"], "name": row["name"], "bytes": whole(row["bytes"]), "fingerprint or sha256": row["id"]}
        for row in sorted(found, key=lambda row: (row["kind"] != "file", -row["distance"], row["name"]))
    ]


def whole(number: int | None) -> str:
    """Write a count with thousands apart."""
    return UNKNOWN if number is None else f"{number:,}"


def real(number: float | None) -> str:
    """Write a measured number: three digits after the point, fewer when it is large."""
    if number is None:
        return UNKNOWN
    if number >= 1e6:
        return f"{number:.2e}"
    return f"{number:,.{3 if number < 100 else 1}f}"


def share(number: float | None) -> str:
    """Write a share as percent."""
    return UNKNOWN if number is None else f"{100 * number:.1f} %"


def interval(row: Mapping[str, Any], name: str) -> str:
    """Write the interval of a ratio; one document has none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return UNKNOWN if low is None or high is None else f"{real(low)} to {real(high)}"


def moment(time: datetime | None) -> str:
    """Write a time to the minute."""
    return UNKNOWN if time is None else time.strftime("%Y-%m-%d %H:%M")
