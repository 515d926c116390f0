"""Golden cases for every rule of the profiles: a text that the rule drops, and one like it that it keeps.

Each case is decided by its one rule, so that no other rule hides it; whole profiles are tried on a play, on
Chinese, on one line and on nothing.
"""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lmpipe.curate.decide import decide
from lmpipe.curate.profiles import load_profile, rules_for, shipped
from lmpipe.curate.signals import measure
from lmpipe.dataset import Execution
from lmpipe.settings import ProfileSettings
from tests.curate.cleaned import cleaned

NAMES = "abcdefghijklmnopqrstuvwxyz"


def words(number: int, start: int = 0) -> list[str]:
    """Different words of six letters, none of them a stop word."""
    return [f"{NAMES[n % 26]}{NAMES[n // 26 % 26]}orla" for n in range(start, start + number)]


def prose(number: int, *more: str, start: int = 0) -> str:
    """Sentences of ten different words each, with some more words in front."""
    found = [*more, *words(number, start)]
    return " ".join(f"{' '.join(found[i : i + 10])}." for i in range(0, len(found), 10))


def lines(number: int, length: int = 8) -> list[str]:
    """Different sentences of `length` words."""
    return [prose(length, start=n * length) for n in range(number)]


def repeated(length: int, times: int, others: int) -> str:
    """A run of `length` words that comes several times, between runs of words that come once."""
    run = words(length, 600)
    parts = [[*run, *words(others, n * others)] for n in range(times)]
    return " ".join(word for part in parts for word in part)


CASES = {
    ("gopher", "words.min"): (prose(49), prose(50)),
    ("gopher", "words.max"): ("ab " * 100_001, "ab " * 100_000),
    ("gopher", "mean_word_chars.min"): ("ab cd " * 30, "abc def " * 30),
    ("gopher", "mean_word_chars.max"): ("abcdefghijk " * 50, "abcdefghij " * 50),
    ("gopher", "hash_words.max"): ("ab # " * 30, f"# {prose(60)}"),
    ("gopher", "ellipsis_words.max"): ("ab ... cd … " * 30, f"{prose(60)} ..."),
    ("gopher", "bullet_lines.max"): ("\n".join(f"- {line}" for line in lines(10)), "\n".join(lines(10))),
    ("gopher", "ellipsis_lines.max"): ("ab cd ...\n" * 4 + "\n".join(lines(6)), "ab ...\n" * 3 + "\n".join(lines(7))),
    ("gopher", "alpha_segments.min"): ("ab 12 34 56 " * 20, prose(60)),
    ("gopher", "stop_words.min"): (prose(60, "the"), prose(60, "the", "of")),
    ("gopher", "duplicate_lines.max"): ("\n".join(["ab cd."] * 5 + lines(6)), "\n".join(["ab cd."] * 4 + lines(7))),
    ("gopher", "duplicate_line_chars.max"): ("\n".join(lines(1, 40) * 2 + lines(4)), "\n".join(lines(9) + lines(1))),
    ("gopher", "duplicate_paragraphs.max"): ("\n\n".join(["ab cd."] * 5 + lines(6)), "\n\n".join(lines(9))),
    ("gopher", "duplicate_paragraph_chars.max"): ("\n\n".join(lines(1, 40) * 2 + lines(4)), "\n\n".join(lines(9))),
    ("gopher", "top_2gram_chars.max"): (repeated(2, 10, 5), repeated(2, 10, 20)),
    ("gopher", "top_3gram_chars.max"): (repeated(3, 10, 8), repeated(3, 10, 20)),
    ("gopher", "top_4gram_chars.max"): (repeated(4, 10, 12), repeated(4, 10, 30)),
    ("gopher", "duplicate_5gram_chars.max"): (repeated(5, 4, 10), repeated(5, 2, 40)),
    ("gopher", "duplicate_6gram_chars.max"): (repeated(6, 4, 14), repeated(6, 2, 40)),
    ("gopher", "duplicate_7gram_chars.max"): (repeated(7, 4, 18), repeated(7, 2, 40)),
    ("gopher", "duplicate_8gram_chars.max"): (repeated(8, 4, 24), repeated(8, 2, 60)),
    ("gopher", "duplicate_9gram_chars.max"): (repeated(9, 4, 30), repeated(9, 2, 80)),
    ("gopher", "duplicate_10gram_chars.max"): (repeated(10, 4, 40), repeated(10, 2, 90)),
    ("c4", "c4_sentences.min"): (prose(20), prose(30)),
    ("c4", "lorem_ipsum.max"): (f"Lorem ipsum dolor. {prose(40)}", f"Lorem and ipsum. {prose(40)}"),
    ("c4", "curly_brackets.max"): (f"if (x) {{ y }} {prose(40)}", f"if (x) y {prose(40)}"),
    ("fineweb", "sentences.min"): (prose(40), prose(50)),
    ("fineweb", "punctuated_lines.min"): ("\n".join(["ab cd"] * 8 + lines(1)), "\n".join(["ab cd"] * 7 + lines(1))),
    ("fineweb", "short_lines.max"): ("\n".join([*words(7), *lines(3)]), "\n".join([*words(6), *lines(4)])),
    ("fineweb", "char_duplicate_ratio.max"): ("\n".join(lines(1) * 2 + lines(9)), "\n".join(lines(9))),
    ("fineweb", "newlines_per_word.max"): ("ab cd.\n" * 20, "ab cd ef gh.\n" * 20),
    ("news", "policy_lines.max"): ("We use cookies on it.\n" * 2 + "\n".join(lines(4)), "\n".join(lines(6))),
    ("news", "javascript_lines.max"): ("Enable JavaScript now.\n" * 2 + "\n".join(lines(4)), "\n".join(lines(6))),
    ("news", "alpha_words.min"): ("ab 12 34 56 " * 20, "ab cd ef gh 12 " * 20),
}  # fmt: skip
"""Profile and reason: the text that is dropped by it, and one that is kept."""
CHINESE = {
    ("fineweb2-cmn_Hani", "words.min"): ("山路很长。" * 3, "春天的河水从山里流到海边，" * 12),
    ("fineweb2-cmn_Hani", "stop_words.min"): ("山路河水春天故事。" * 12, "他在山里的河边。" * 12),
    ("fineweb2-cmn_Hani", "alpha_segments.min"): (
        "！。，" * 40 + "山路的河水在海边。" * 5,
        "他在山里的河边看见春天的故事。" * 10,
    ),
    ("fineweb2-cmn_Hani", "punctuated_lines.min"): ("他在山里的河边\n" * 20, "他在山里的河边。\n" * 20),
    ("news", "words.min"): ("他在山里。", "他在山里的河边看见春天的故事。" * 3),
}


def decided(tmp_path: Path, profile: str, texts: list[str], lang: str, only: str | None = None) -> list[str | None]:
    """Measure texts and decide them by a profile, or by one rule of it; give their reasons."""
    measured = measure(texts, [lang] * len(texts))
    rows = [{"lang": lang, "text": text} | {k: v[n] for k, v in measured.items()} for n, text in enumerate(texts)]
    rules = rules_for(load_profile(ProfileSettings(name=profile)), lang)
    kept = {signal: bounds for signal, bounds in rules.items() if only in (None, signal)}
    settings = ProfileSettings(name="fineweb2-jpn_Jpan", rules={lang: kept}, guard=1.0)
    manifest = decide(cleaned(tmp_path, rows), tmp_path, settings, Execution())
    return [row["reason"] for path in manifest.paths("decisions") for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize(("profile", "reason"), CASES)
def test_rule_drops_what_lies_outside_and_keeps_what_lies_inside(tmp_path: Path, profile: str, reason: str) -> None:
    texts = [text.strip() for text in CASES[profile, reason]]
    assert decided(tmp_path, profile, texts, "en", reason.rpartition(".")[0]) == [reason, None]


@pytest.mark.parametrize(("profile", "reason"), CHINESE)
def test_rule_drops_and_keeps_chinese(tmp_path: Path, profile: str, reason: str) -> None:
    texts = [text.strip() for text in CHINESE[profile, reason]]
    assert decided(tmp_path, profile, texts, "zh", reason.rpartition(".")[0]) == [reason, None]


def test_every_rule_of_gopher_c4_and_fineweb_has_a_case() -> None:
    tried = {reason for _, reason in CASES}
    for profile in ("gopher", "c4", "fineweb"):
        for signal, bounds in rules_for(load_profile(ProfileSettings(name=profile)), "en").items():
            sides = {f"{signal}.{side}" for side in ("min", "max") if getattr(bounds, side) is not None}
            assert sides <= tried


@pytest.mark.parametrize("profile", [name for name in shipped() if not name.startswith("fineweb2")])
@pytest.mark.parametrize("lang", ["en", "zh", "de"])
def test_empty_text_and_one_line_are_decided_without_error(tmp_path: Path, profile: str, lang: str) -> None:
    reasons = decided(tmp_path, profile, ["", "\n \n", "。", "One line."], lang)
    if profile not in ("gopher-repetition", "none"):
        assert None not in reasons[:3]


def test_play_is_kept_as_a_novel_and_its_speakers_do_not_count_as_repetition(tmp_path: Path) -> None:
    speakers = ["ANTON.", "BERTA.", "CLARA."]
    play = "\n".join(line for n in range(40) for line in (speakers[n % 3], f"And the {prose(7, start=n * 7)}"))
    assert decided(tmp_path, "novels", [play], "en") == [None]
    assert decided(tmp_path, "gopher", [play], "en") == ["duplicate_lines.max"]


def test_tale_with_refrains_is_kept_by_default_and_as_a_novel(tmp_path: Path) -> None:
    tale = "\n".join(line for n in range(30) for line in ("Bird, bird, sing", f"And the {prose(30, start=n * 30)}"))
    assert decided(tmp_path, "basic", [tale], "en") == [None]
    assert decided(tmp_path, "novels", [tale], "en") == [None]
    assert decided(tmp_path, "gopher-repetition", [tale], "en") == ["duplicate_lines.max"]


@pytest.mark.parametrize("profile", ["basic", "news"])
def test_brief_of_one_sentence_is_kept_and_table_of_figures_dropped(tmp_path: Path, profile: str) -> None:
    brief = f"{prose(20, 'The').removesuffix('.')} effective today.\nWire"
    table = "Shr 42 cts vs 32 cts\nNet 1,076,572 vs 826,939\nSales 20.5 mln vs 12.5 mln\nThe year\nShr 9 vs 8"
    assert decided(tmp_path, profile, [brief, table], "en") == [None, "alpha_words.min"]


@pytest.mark.parametrize("profile", ["basic", "news"])
def test_chinese_news_with_full_width_figures_is_kept(tmp_path: Path, profile: str) -> None:
    brief = "他于１９５１年６月出生在小城，１９７３年毕业于大学，１９９７年当选，在国家电台当过记者，是第一位女总统。"
    assert decided(tmp_path, profile, [brief], "zh") == [None]
