"""Personal data is found, told apart from what only looks like it, and replaced by stable placeholders."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.pii import PRIORITY, Span, find, redact
from tests.text.pii_cases import A40, cases

CASES = cases()
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{A40}\n{A40}=\n-----END RSA PRIVATE KEY-----"


def figures() -> dict[str, tuple[float, float]]:
    """Precision and recall by kind on the labelled set; a span counts when kind and both ends are right."""
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for text, spans in CASES:
        got = find(text)
        found.update(s.kind for s in got)
        wanted.update(s.kind for s in spans)
        right.update(s.kind for s in set(got) & set(spans))
    return {kind: (right[kind] / found[kind], right[kind] / wanted[kind]) for kind in PRIORITY}


def test_labelled_set_is_large_enough() -> None:
    assert sum(len(spans) for _, spans in CASES) >= 100
    assert sum(not spans for _, spans in CASES) >= 100


@pytest.mark.parametrize("kind", PRIORITY)
def test_kind_is_found_with_few_mistakes(kind: str) -> None:
    precision, recall = figures()[kind]
    assert precision >= 0.95, [text for text, spans in CASES if {s for s in find(text) if s.kind == kind} - set(spans)]
    assert recall >= 0.85, [text for text, spans in CASES if {s for s in spans if s.kind == kind} - set(find(text))]


@pytest.mark.parametrize("text", [text for text, spans in CASES if not spans])
def test_nothing_is_found_in_what_only_looks_like_it(text: str) -> None:
    assert find(text) == []


def test_private_key_is_found_with_its_armour() -> None:
    assert find(f"here:\n{PEM}\nend") == [Span("api_key", 6, 6 + len(PEM))]


def test_only_the_wanted_kinds_are_found() -> None:
    text = "anna@example.org, 13812345678, 81.2.69.142"
    assert [span.kind for span in find(text, ["ip", "email"])] == ["email", "ip"]
    assert find(text, []) == []


def test_overlap_goes_to_the_kind_with_the_stronger_check() -> None:
    assert [span.kind for span in find("电话 +8613812345678")] == ["cn_mobile"]
    assert [span.kind for span in find("https://u:81.2.69.142@example.org")] == ["email"]


def test_placeholder_names_the_kind_and_nothing_else() -> None:
    text = "Mail anna@example.org or bob@example.org, 身份证11010519491231002X。"
    assert redact(text, find(text)) == "Mail <EMAIL> or <EMAIL>, 身份证<CN_ID>。"


def test_redacted_text_holds_nothing_more_to_find() -> None:
    for text, _ in CASES:
        assert find(redact(text, find(text))) == []


def test_spans_do_not_depend_on_the_text_around() -> None:
    for text, _ in CASES:
        moved = find(f"Before that.\n\n{text}\n\nAfter that.")
        assert [(s.kind, s.start - 14, s.end - 14) for s in moved] == find(text), text


ALPHABET = st.sampled_from([*"0123456789@.-+ ()/:XxaBe\n_=中电", "4111", "sk-", "eyJ", "AKIA", "DE89", "-----BEGIN "])


@given(st.lists(ALPHABET, max_size=200).map("".join))
def test_spans_of_any_text_are_sorted_and_apart(text: str) -> None:
    spans = find(text)
    ends = [0, *(span.end for span in spans)]
    assert all(end <= span.start < span.end for end, span in zip(ends, spans, strict=False))
    assert all(span.end <= len(text) for span in spans)
    assert len(redact(text, spans)) == len(text) + sum(len(s.kind) + 2 - (s.end - s.start) for s in spans)


@pytest.mark.parametrize("piece", ["1", "@", "-", "a@", "1.", "1 ", ":", "a:", "eyJ", "4111 1111 ", "+1", "(0", "sk-a"])
def test_a_megabyte_of_anything_is_read_at_once(piece: str) -> None:
    """Five times the text may not take much more than five times the work; quadratic would be 25 times."""
    from time import process_time

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = process_time()
        find(text)
        return process_time() - started

    seconds(10_000)
    assert seconds(1_000_000) < 15 * max(seconds(200_000), 0.02)
