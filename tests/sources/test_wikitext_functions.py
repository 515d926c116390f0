"""Parser functions in articles: what is evaluated, and what shows nothing."""

import time

import pytest

from lmpipe.sources import wikitext


def rendered(text: str, lang: str = "en") -> str:
    return wikitext.render(text, variant="zh-hans", lang=lang, title="Title").text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{#if: |a|b}} {{#if: x\n| yes }} {{#if:{{{1|}}}|a|no}} {{#if:x||c}}.", "b yes no."),
        ("{{#ifeq:01|1|same|other}} {{#ifeq:Foo|foo|same|other}} {{#ifeq:a|b|x}}.", "same other."),
        ("{{#switch:b|a=1|b=2|3}} {{#switch:z|a=1|#default=4}} {{#switch:z|a=1|5}}", "2 4 5"),
        ("{{#switch:a|a|b = 6 |7}} {{#switch:foo|#default|bar=8}} {{#switch:x|a=1}}.", "6 8."),
        ("{{#if:x|{{#ifeq:a|a|{{#switch:1|1={{circa|1500}}}}}}}} [[a|{{#if:|b|c}}]]", "c. 1500 c"),
        ("{{#ifexpr:2+2=4|yes|no}} {{#ifexpr:|a|no}} {{#ifexpr:1 < 0|a}}.", "yes no."),
        ("{{#iferror:{{#expr:1/0}}|bad|good}} {{#iferror:{{#expr:1+2}}|bad}} {{#iferror:x|a|ok}}", "bad 3 ok"),
        (
            "{{#time:j F Y|2020-05-01}} {{#time:Y|5 July 2001}}, {{#time:Y}} {{#time:H|2020-05-01}} {{CURRENTDOW}}.",
            "1 May 2020 2001.",
        ),
        ("{{padleft:7|3|0}} {{padright:a|3|bc}} {{lc:AB}} {{ucfirst:ab}} {{formatnum:1,234|R}}", "007 abc ab Ab 1234"),
        ("{{plural:2|is|are}} {{#ifexist:Some page|[[Some page|there]]|gone}} {{SITENAME}}", "are there Wikipedia"),
        ("a{{#tag:ref|note}} {{#tag:small|b}} {{#invoke:X|y|z}}c {{#unheard:x|y}}d", "a b c d"),
        ("{{#switch:{{#expr:1+1}}|2={{nowrap|a{{=}}b}}}}", "a=b"),
    ],
)
def test_functions_show_the_branch_that_a_reader_sees(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("-4 * -4 = 4 * 4", "1"),
        ("3 / (2.0 / 10)", "15"),
        ("2 ^ 3", "8"),
        ("17 mod 5", "2"),
        ("1e4 = 10000", "1"),
        ("1e-2", "0.01"),
        ("4.5 round 0", "5"),
        ("-4.5 round 0", "-5"),
        ("ceil -4.5", "-4"),
        ("trunc(-4.5)", "-4"),
        ("abs(-2)", "2"),
        ("ln(exp(1))", "1"),
        ("not (1 and 0)", "1"),
        ("1 != 2", "1"),
        ("10 / 3", "3.3333333333333"),
    ],
)
def test_expressions_have_the_value_that_mediawiki_gives_them(expression: str, value: str) -> None:
    assert rendered("{{#expr:" + expression + "}}") == value


@pytest.mark.parametrize("expression", ["1 + x", "1 +", "(1", "1 2", "1/0", "9^9^9^9", "10 ^ 400", "", "$", "e"])
def test_what_is_no_expression_shows_nothing(expression: str) -> None:
    assert rendered("a {{#expr:" + expression + "}} b") == "a b"


def test_a_deep_expression_costs_no_more_than_its_length() -> None:
    started = time.process_time()
    rendered("{{#expr:" + "(" * 100_000 + "1" + ")" * 100_000 + "}} {{#expr:" + "-" * 250 + "1}}")
    rendered("{{#if:x|" * 20_000 + "a" + "}}" * 20_000)
    rendered("{{#switch:x" + "|a=b" * 50_000 + "}}")
    assert time.process_time() - started < 10
