"""The report: one offline page whose numbers are those of the database, safe whatever the names hold."""

import base64
import hashlib
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from results_corpus import PROTOCOL, SCORES, corpus, dataset, evaluation, fill, rows, training

from lmpipe import warehouse
from lmpipe.errors import WarehouseError
from lmpipe.report import (
    ablation_rows,
    build_interactive_report,
    build_report,
    charts,
    funnel_rows,
    loss_curve_png,
    perplexity_rows,
)
from lmpipe.report.page import STYLE

EVIL = "<script>alert('wiki')</script>&\""


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A warehouse with a source whose name would be a script, and the text of its report."""
    data = tmp_path_factory.mktemp("data")
    folder, made = fill(data, wiki=EVIL)
    results = folder / warehouse.PUBLISHED
    return results, made, build_report(results, data / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_holds_no_script_and_reaches_nothing_outside(evil):
    found = Page(evil[2])
    assert found.all("script") == []
    assert not any(name.startswith("on") for _, attrs in found.tags for name in attrs)
    assert {attrs["href"][0] for attrs in found.all("a")} == {"#"}
    assert [attrs for _, attrs in found.tags if "src" in attrs or "style" in attrs] == []
    assert set(re.findall(r"https?://[^\s\"'<]+", evil[2])) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_names_are_shown_as_they_are(evil):
    assert EVIL in Page(evil[2]).texts


def test_the_policy_allows_only_the_pages_own_style(evil):
    [policy] = [m["content"] for m in Page(evil[2]).all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", evil[2], re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_every_chart_has_a_name(evil):
    drawings = Page(evil[2]).all("svg")
    assert len(drawings) == 7
    assert all(d["role"] == "img" and "rows of the table" in d["aria-label"] for d in drawings)


def test_the_page_suits_phones_and_the_dark(evil):
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in Page(evil[2]).all("meta")
    assert "prefers-color-scheme: dark" in evil[2]
    assert 'fill="#000"' not in evil[2]


@pytest.mark.parametrize("paper", re.findall(r"--paper: (#\w{6})", STYLE))
def test_colours_can_be_told_from_the_paper(paper):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in (*charts.SERIES, *charts.OUTCOMES.values(), *charts.SPLITS.values()):
        low, high = sorted((luminance(colour), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_the_page_shows_numbers_reasons_protocol_and_sources(evil):
    _, made, text = evil
    texts = Page(text).texts
    best = 54 / 75 / math.log(2)
    assert f"{best:.3f}" in texts
    assert f"{math.exp(54 / 20):.3f}" in texts
    assert "redirect 2, min_words 1" in texts
    assert PROTOCOL in texts
    assert {"aa" * 32, "bb" * 32, made["runs"]["transformer"], made["datasets"][0].fingerprint} <= set(texts)
    assert any(f"{best:.3f} bits per byte on set test, by run transformer" in t for t in texts)


def test_the_same_database_gives_the_same_page(evil, tmp_path):
    assert build_report(evil[0], tmp_path / "again.html").read_text(encoding="utf-8") == evil[2]


def test_an_empty_database_gives_a_page_that_says_so(tmp_path):
    with warehouse.write(tmp_path):
        pass
    text = build_report(tmp_path / warehouse.PUBLISHED, tmp_path / "report.html").read_text(encoding="utf-8")
    for sentence in (
        "No evaluation yet.",
        "No split dataset yet.",
        "No tokens dataset yet.",
        "No training yet.",
        "No dataset yet.",
    ):
        assert sentence in text


def test_without_a_database_nothing_is_written(tmp_path):
    with pytest.raises(WarehouseError, match="Run a recipe first"):
        build_report(tmp_path / warehouse.PUBLISHED, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_rows_are_text(evil):
    [first, *_] = perplexity_rows(evil[0])
    assert (first["source"], first["run"], first["place"], first["bytes"]) == ("all", "transformer", "1", "75")
    assert first["bits per byte"] == "1.039"
    assert first["95 % of bits per byte"] == "0.649 to 1.731"
    news = next(row for row in perplexity_rows(evil[0]) if row["source"] == "news")
    assert news["95 % of bits per byte"] == "–"
    assert [row["kept"] for row in funnel_rows(evil[0])] == ["5", "3"]
    assert all(isinstance(v, str) for row in (*perplexity_rows(evil[0]), *funnel_rows(evil[0])) for v in row.values())


def test_rows_and_page_of_a_diverged_model_hold_no_infinity(tmp_path):
    folder = tmp_path / "warehouse"
    scores = [
        ("w:1", "w", "en", 9e5, 5, 0, 20),
        ("w:2", "w", "en", math.nan, 5, 1, 0),
        ("v:1", "v", None, 9e5, 1, 1, 0),
    ]
    warehouse.record_dataset(folder, evaluation(tmp_path, "r", scores=scores).folder)
    results = folder / warehouse.PUBLISHED
    text = build_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    words = set(
        re.findall(r"\w+", " ".join([text, *(v for row in perplexity_rows(results) for v in row.values())]).lower())
    )
    assert not words & {"inf", "nan", "infinity"}


def test_runs_of_one_name_can_be_told_apart(tmp_path):
    folder, runs = tmp_path / "warehouse", []
    for data, steps in ((tmp_path / "a", 3), (tmp_path / "b", 4)):
        tokens = corpus(data, wiki=data.name)[-1]
        directory, run = training(data, "lstm", tokens, steps=steps)
        warehouse.record_training(folder, directory)
        warehouse.record_dataset(folder, evaluation(tmp_path, run).folder)
        runs.append(run)
    names = {row["run"] for row in perplexity_rows(folder / warehouse.PUBLISHED)}
    assert names == {f"lstm {run[:6]}" for run in runs}


def test_the_loss_curve_is_a_small_picture(evil):
    picture = loss_curve_png(evil[0], evil[1]["runs"]["lstm"])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 60_000


def test_a_run_without_losses_has_no_curve(evil):
    with pytest.raises(WarehouseError, match="no loss of run 'nobody'"):
        loss_curve_png(evil[0], "nobody")


def test_unlike_evaluations_stand_in_charts_of_their_own(tmp_path):
    folder = tmp_path / "warehouse"
    for manifest in (evaluation(tmp_path, "a"), evaluation(tmp_path, "b", scores=SCORES[:2])):
        warehouse.record_dataset(folder, manifest.folder)
    text = build_report(folder / warehouse.PUBLISHED, tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<h3>test, windows of") == 2


def test_languages_of_one_source_stand_apart():
    rows = [{"source": "all", "lang": "all"}, {"source": "news", "lang": "en"}, {"source": "news", "lang": "zh"}]
    assert charts.slice_names(rows) == ["all", "news (en)", "news (zh)"]


# Ablation


def ablated(data, factors):
    """Record a recipe's run and one without a filter, for each seed; `factors` are its nats against the recipe's."""
    folder = data / "warehouse"
    made = corpus(data)
    for manifest in made:
        warehouse.record_dataset(folder, manifest.folder)
    tokens = made[-1]
    scores = [(f"d:{n}", "wiki" if n % 2 else "news", "en", 80.0 + n % 7, 40, 30, 100 + n % 11) for n in range(60)]
    compared = []
    for seed, factor in enumerate(factors, 1):
        runs = []
        for name, times in ((f"lstm-{seed}", 1.0), (f"lstm-without-{seed}", factor)):
            directory, run = training(data, name, tokens)
            warehouse.record_training(folder, directory)
            worse = [(*score[:3], score[3] * times, *score[4:]) for score in scores]
            warehouse.record_dataset(folder, evaluation(data, run, scores=worse).folder)
            runs.append(run)
        compared.append(("filter.words", "lstm", seed, runs[1], runs[0]))
    table = dataset(data, "ablate", "demo", [], {"ablation_runs": compared})
    warehouse.record_dataset(folder, table.folder)
    return folder


def test_the_ablation_matrix_has_an_interval_over_documents_and_seeds(tmp_path):
    one, three = ablated(tmp_path / "one", [1.05]), ablated(tmp_path / "three", [1.02, 1.05, 1.08])
    [alone] = rows(one, "from ablation_matrix where slice = 'all'")
    [found] = rows(three, "from ablation_matrix where slice = 'all'")
    whole = sum(80 + n % 7 for n in range(60)) / sum(100 + n % 11 for n in range(60)) / math.log(2)
    assert found["difference"] == pytest.approx(0.05 * whole)
    assert found["seed_deviation"] == pytest.approx(0.03 * whole)
    assert found["nats_per_token"] == pytest.approx(0.05 * sum(80 + n % 7 for n in range(60)) / (60 * 40))
    # seeds differ by far more than documents: Student's t with two degrees of freedom, over three seeds
    margin = 4.303 * 0.03 * whole / math.sqrt(3)
    assert found["difference_high"] - found["difference"] == pytest.approx(margin, rel=0.02)
    assert (found["seeds"], found["verdict"]) == (3, "no sure difference")
    assert alone["difference"] == pytest.approx(0.05 * whole)
    assert (alone["seeds"], alone["seed_deviation"], alone["verdict"]) == (1, None, "not sure: one seed")
    assert alone["difference_low"] > 0
    [line] = ablation_rows(three / warehouse.PUBLISHED)
    assert line["without"] == "filter.words"
    assert line["all"].startswith(f"{0.05 * whole:+.4f} (")
    assert set(line) == {"recipe", "without", "seeds", "all", "news", "wiki"}


def test_an_ablation_on_other_documents_says_why_it_has_no_numbers(tmp_path):
    folder = ablated(tmp_path, [1.05])
    with warehouse.write(folder) as con:
        con.execute("update slice_sums set document_set = 'other' where run in (select run from ablation_runs)")
    assert [(row["difference"], row["verdict"]) for row in rows(folder, "from ablation_matrix")] == [
        (None, "not comparable, because they scored different documents")
    ]


def test_variants_of_an_ablation_stay_out_of_the_perplexities_of_the_page(tmp_path):
    folder = ablated(tmp_path, [1.05])
    text = build_report(folder / warehouse.PUBLISHED, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "lstm-1" in text
    assert "lstm-without-1" not in text
    assert "filter.words" in text


def test_a_variant_that_is_better_than_its_recipe_takes_no_place_from_it(tmp_path):
    folder = ablated(tmp_path, [0.9])
    places = {row["name"]: (row["place"], row["variant"]) for row in rows(folder, "from leaderboard")}
    assert places == {"lstm-1": (1, False), "lstm-without-1": (1, True)}
    text = build_report(folder / warehouse.PUBLISHED, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "on set test, by run lstm-1" in text


# In a browser

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def seen(path, tmp_path):
    """Open a page in a headless browser; return its document once scripts have run, and what its console said."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000"]
    command = [BROWSER, *options, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
    return Page(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome to look at the page with")
@pytest.mark.parametrize("build", [build_report, build_interactive_report])
def test_a_browser_draws_every_chart_without_complaint_and_shows_the_numbers_of_the_views(evil, tmp_path, build):
    shown, console = seen(build(evil[0], tmp_path / "report.html"), tmp_path)
    assert console == []
    drawings = [attrs for tag in ("svg", "div") for attrs in shown.all(tag) if attrs.get("role") == "img"]
    assert len(drawings) == 7
    assert all("rows of the table" in drawing["aria-label"] for drawing in drawings)
    assert len([svg for svg in shown.all("svg") if int(float(svg["width"])) > 100]) == 7
    assert EVIL in shown.texts
    for row in rows(evil[0].parent, "from perplexity where slice <> 'lang'"):
        assert f"{row['bits_per_byte']:.3f}" in shown.texts
        assert f"{row['token_perplexity']:.3f}" in shown.texts
        if row["documents"] > 1:
            assert f"{row['bits_per_byte_low']:.3f} to {row['bits_per_byte_high']:.3f}" in shown.texts
