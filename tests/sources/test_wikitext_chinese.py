"""What a reader of one variant sees of Chinese -{ }- markup, as MediaWiki's LanguageConverter resolves it."""

import pytest

from lmpipe.sources import wikitext


def rendered(text: str, variant: str) -> str:
    return wikitext.render(text, variant=variant, lang="zh", title="").text


CONVERTED = "-{zh-hans:计算机; zh-hant:電腦}-"


@pytest.mark.parametrize(
    ("text", "variant", "shown"),
    [
        (CONVERTED, "zh-hans", "计算机"),
        (CONVERTED, "zh-hant", "電腦"),
        ("-{zh-cn:软件; zh-tw:軟體; zh-hk:軟件}-", "zh-hans", "软件"),
        ("-{zh-cn:软件; zh-tw:軟體; zh-hk:軟件}-", "zh-hant", "軟體"),
        ("-{zh-hk:的士}-", "zh-hans", "的士"),
        ("-{原文}-与-{R|文}-", "zh-hans", "原文与文"),
        ("甲-{H|zh-cn:软件;zh-tw:軟體}-乙-{T|zh-cn:题;zh-tw:題}-丙", "zh-hans", "甲乙丙"),
        ("-{A|zh-cn:软件;zh-tw:軟體}-", "zh-hans", "软件"),
        ("[[a|-{zh-cn:软件;zh-tw:軟體}-]]好", "zh-hant", "軟體好"),
        ("-{zh-cn:{{lang|en|x}};zh-tw:y}-好", "zh-hans", "x好"),
        ("-{zh-cn:甲-{乙}-;zh-tw:丙}-", "zh-hans", "甲乙"),
        ("-{zh-hans;zh-cn|都}--{zh-tw|台}--{-|zh-cn:软件;zh-tw:軟體}-", "zh-hans", "都"),
        (
            "-{D|zh-cn:软件;zh-Hant-TW:軟體}-，-{D;H|核=>zh-cn:内核}-",
            "zh-hans",
            "大陆：软件；臺灣：軟體；，核⇒大陆：内核；",
        ),
        ("-{N|zh-tw}-，-{D|甲}-，-{D;R|zh-cn:乙}-", "zh-hans", "臺灣，甲，zh-cn:乙"),
        ("-{zh:中文;zh-Hant-TW:正體}-", "zh-hant", "正體"),
        ("-{核=>zh-cn:内核;核=>zh-tw:核心}-", "zh-hant", "核心"),
        ("-{R|甲 -{zh-cn:乙;zh-tw:丙}- {{lang|en|b}}}-", "zh-hans", "甲 乙 b"),
        ("-{zh-hans:[[电脑]];zh-hant:{{lang|zh|電腦}}}-", "zh-hant", "電腦"),
        ("{{lang|zh|-{zh-cn:甲;zh-tw:乙}-}}[[-{zh-cn:丙;zh-tw:丁}-]]", "zh-hant", "乙丁"),
        ("-{zh-cn:甲:乙;zh-tw:丙}-与}-", "zh-hans", "甲:乙与}-"),
        (";-{R|甲:乙}-\n;-{zh-cn:丙;zh-tw:丁}-", "zh-hans", "甲:乙\n丙"),
        ("== -{zh-hans:历史;zh-hant:歷史}- ==\n文", "zh-hant", "歷史\n\n文"),
    ],
)
def test_language_variants_resolve_to_one_side(text: str, variant: str, shown: str) -> None:
    assert rendered(text, variant) == shown


@pytest.mark.parametrize(
    ("text", "variant", "shown"),
    [
        ("用軟體-{H|zh-cn:软件;zh-tw:軟體}-和[[軟體]]", "zh-hans", "用軟體和软件"),
        ("-{A|zh-cn:软件;zh-tw:軟體}-与软件", "zh-hant", "軟體与軟體"),
        (
            "{{NoteTA|G1=IT|T=zh-cn:题|1=zh-cn:宽带;zh-tw:寬頻;|zh-hans:博客;zh-hant:網誌}}寬頻和網誌",
            "zh-hans",
            "宽带和博客",
        ),
        ("-{H|巨集=>zh-cn:宏}-巨集", "zh-hans", "宏"),
        ("-{H|巨集=>zh-cn:宏}-巨集", "zh-hant", "巨集"),
        ("-{H|zh-cn:软件;zh-tw:軟體}-軟體，-{軟體}-，-{R|軟體}-", "zh-hans", "软件，軟體，軟體"),
        ("-{H|zh-cn:网络;zh-tw:網路}--{H|zh-cn:网络游戏;zh-tw:網路遊戲}-網路遊戲網路", "zh-hans", "网络游戏网络"),
        ("-{zh-cn:软件;zh-tw:軟體}-和軟體", "zh-hans", "软件和軟體"),
        ("-{H|zh-cn:软件;zh-tw:軟體}-軟體-{-|zh-cn:软件;zh-tw:軟體}-軟體", "zh-hans", "软件軟體"),
        ("-{H|zh-cn:软件;zh-tw:軟體}-軟體-{H|軟體}-軟體", "zh-hans", "软件軟體"),
        ("-{T;H|zh-cn:软件;zh-tw:軟體}-軟體-{T|zh-cn:硬件;zh-tw:硬體}-硬體", "zh-hans", "软件硬體"),
        ("-{H|核=>zh-sg:甲;核=>zh-cn:乙;核=>zh-cn:丙}-核", "zh-hans", "丙"),
        ("-{H|zh-cn:软件;zh-tw:;}--{H|=>zh-cn:甲}--{H|}--{H|zh-cn:;zh-tw:乙}-软件乙", "zh-hans", "软件乙"),
        ("{{noteTA\n|1=zh:软件;zh-hans:软件; zh-hant:軟體;\n}}軟體", "zh-hans", "软件"),
    ],
)
def test_rules_of_a_page_convert_its_words_outside_markup(text: str, variant: str, shown: str) -> None:
    assert rendered(text, variant) == shown
