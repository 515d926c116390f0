"""The page people look at, and the rows and pictures shown in the Prefect UI.

Everything is made from the published database alone: the same results.duckdb gives the same page.
"""

from lmpipe.report.charts import ladder_png, loss_curve_png
from lmpipe.report.page import build_interactive_report, build_report
from lmpipe.report.rows import (
    ablation_lines,
    ablation_rows,
    funnel_rows,
    ladder_rows,
    month_rows,
    perplexity_rows,
    worse_sentence,
)
from lmpipe.report.samples import samples_markdown

__all__ = [
    "ablation_lines",
    "ablation_rows",
    "build_interactive_report",
    "build_report",
    "funnel_rows",
    "ladder_png",
    "ladder_rows",
    "loss_curve_png",
    "month_rows",
    "perplexity_rows",
    "samples_markdown",
    "worse_sentence",
]
