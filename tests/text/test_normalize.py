"""Each rule repairs what it names and nothing else."""

import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.normalize import (
    SUSPECT,
    blanks,
    composition,
    escapes,
    invisible,
    ligatures,
    line_ends,
    mojibake,
    normalize,
)


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (line_ends, "a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        (mojibake, "the cafÃ© was shut", "the café was shut"),
        (mojibake, "naïve café", "naïve café"),
        (mojibake, "他说“好”\nthe cafÃ© was shut\n£5 – a “café”", "他说“好”\nthe café was shut\n£5 – a “café”"),
        (mojibake, "√©t√©, ‚Äúhello‚Äù\n他说“好”", "été, “hello”\n他说“好”"),  # whole, only the lines can be undone
        (ligatures, "the ﬁrst eﬀort, ﬂat", "the first effort, flat"),
        (escapes, "a \x1b[31;1mred\x1b[0m word", "a red word"),
        (composition, "cafe\u0301", "café"),
        (invisible, "a\u200bb\ufeffc\u00add\x00e", "abcde"),
        (blanks, "　　他说：\u00a0好\t吗  \n\n\n\n再见", "他说： 好 吗\n\n再见"),
        (blanks, "a b  c \n d", "a b c\nd"),
    ],
)
def test_rule_repairs_what_it_names(rule, before: str, after: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(before) == after


def test_full_width_digits_and_curly_quotes_stay() -> None:
    text = "公元１９１１年，他说：“好。” It’s fine…"
    assert normalize(text) == (text, [])


@given(st.text(st.sampled_from("０１２３４５６７８９年，。“”a b\u3000\n"), max_size=60))
def test_full_width_digits_stay_digits(text: str) -> None:
    repaired, _ = normalize(text)
    assert [char for char in repaired if char.isdecimal()] == [char for char in text if char.isdecimal()]
    assert "".join(repaired.split()) == "".join(text.split())


@given(
    st.text(
        st.sampled_from("".join(MOJIBAKE_CATEGORIES.values()).replace("-", "") + "aZ .,’”‚ВГРСâïì°\xa0"), max_size=6
    )
)
def test_whatever_looks_bad_to_ftfy_is_looked_at(text: str) -> None:
    assert SUSPECT.search(text) or not is_bad(text)


@given(st.text(st.sampled_from("ab \t\n\r\x0b\x1c\x85\u2028\u3000\u200b\x1b[3m"), max_size=30))
def test_nothing_is_left_to_repair(text: str) -> None:
    repaired, _ = normalize(text)
    assert not set(repaired) & set("\t\r\x0b\x1c\x85\u2028\u3000\u200b\x1b")
    assert "  " not in repaired
    assert "\n\n\n" not in repaired
    assert repaired == "\n".join(line.strip() for line in repaired.strip().split("\n"))


def test_joiners_stay_where_scripts_need_them() -> None:
    assert invisible("می‌خواهم 👩‍🚀") == "می‌خواهم 👩‍🚀"


def test_normalize_names_the_rules_that_changed_something() -> None:
    assert normalize("a\r\nb  c") == ("a\nb c", ["line_ends", "blanks"])


def test_switched_off_rules_do_nothing() -> None:
    assert normalize("cafe\u0301  x", unicode=False) == ("cafe\u0301 x", ["blanks"])
    assert normalize("cafe\u0301  x", whitespace=False) == ("café  x", ["composition"])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_whitespace_rules_are_idempotent(text: str) -> None:
    once, _ = normalize(text, unicode=False)  # ftfy's guesses are not: a collapsed blank can make a text look bad
    assert normalize(once, unicode=False) == (once, [])
