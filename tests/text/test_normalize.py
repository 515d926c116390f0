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


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم", "क्\u200dष क्\u200cष", "ශ්\u200dරී", "👩\u200d🚀 ❤\ufe0f ☎\ufe0e", "葛\U000e0100城",
        "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "السَّلامُ عَلَيْكُم ـــ ١٢٣ ﷺ", "שָׁלוֹם — „כך״",
        "ភាសា\u200bខ្មែរ", "\ue000x\U000f0000", "ＡＢＣ１２３", "x² ½ ℃ №", "한국 हिन्दी ἄνθρωπος",
    ],
)  # fmt: skip
def test_scripts_keep_their_joiners_signs_and_selectors(text: str) -> None:
    assert normalize(text) == (text, [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\xc3\x85ngstr\xc3\xb6m", "Ångström"),  # U+0085 as a byte of a broken letter
        ("c'est parl\xe9\x85 Tu sais", "c'est parlé… Tu sais"),  # as the ellipsis of Windows-1252
        ("and so\x85 he left the caf\xe9", "and so… he left the café"),
        ("one\x85two\x85\x85three\x85", "one\ntwo\n\nthree"),  # as a line end
        ("s\xc3\xad, nama\xc3\x83\xc2\xb1ana", "sí, namañana"),  # a soft hyphen as a byte
        ("the caf\xc3\xa9\r\nwas shut\rhere", "the café\nwas shut\nhere"),
        ("e\u200b\u0301a \u2066b\u2069 \u061cc", "éa b c"),
    ],
)
def test_broken_bytes_are_told_from_line_ends_and_invisible_characters(before: str, after: str) -> None:
    once, _ = normalize(before)
    assert once == after
    assert normalize(once) == (once, [])


@given(st.text(st.sampled_from("eaé\u0301\u200b\u00ad\ufeffﬁ \n\x85कष\u094d\u200dភ\u2000"), max_size=12))
def test_repaired_text_is_composed(text: str) -> None:
    repaired, _ = normalize(text)
    assert composition(repaired) == repaired


def test_normalize_names_the_rules_that_changed_something() -> None:
    assert normalize("a\r\nb  c") == ("a\nb c", ["line_ends", "blanks"])


def test_switched_off_rules_do_nothing() -> None:
    assert normalize("cafe\u0301  x", unicode=False) == ("cafe\u0301 x", ["blanks"])
    assert normalize("cafe\u0301  x", whitespace=False) == ("café  x", ["composition"])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_whitespace_rules_are_idempotent(text: str) -> None:
    once, _ = normalize(text, unicode=False)  # ftfy's guesses are not: a collapsed blank can make a text look bad
    assert normalize(once, unicode=False) == (once, [])
