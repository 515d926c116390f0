"""Languages are told by script where that decides, else by the detector."""

import pytest

from lmpipe.text.language import identify

SAMPLES = {
    "en": "The river rises in the hills behind the town and reaches the sea after forty miles.",
    "de": "Der Fluss entspringt in den Hügeln hinter der Stadt und erreicht nach vierzig Meilen das Meer.",
    "fr": "La rivière prend sa source dans les collines derrière la ville et rejoint la mer.",
    "es": "El río nace en las colinas detrás de la ciudad y llega al mar después de muchos kilómetros.",
    "ru": "Река берёт начало в холмах за городом и впадает в море через сорок миль.",
    "zh": "这条河发源于城后的山丘，流了四十里之后入海。",
    "ja": "この川は町の後ろの丘から流れ出て、四十マイル先の海に注ぐ。",
    "ko": "이 강은 마을 뒤의 언덕에서 시작하여 바다로 흘러간다.",
    "th": "แม่น้ำสายนี้มีต้นกำเนิดจากเนินเขาหลังเมือง",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_language_is_identified_in_one_sentence(language: str) -> None:
    found, score = identify(SAMPLES[language])
    assert found == language
    assert 0 < score <= 1


def test_traditional_chinese_is_chinese() -> None:
    assert identify("這條河發源於城後的山丘。")[0] == "zh"


@pytest.mark.parametrize("text", ["", "12345 --- 67", "\n\n"])
def test_text_without_letters_is_undetermined(text: str) -> None:
    assert identify(text) == ("und", 0.0)


def test_chinese_with_some_english_is_chinese() -> None:
    assert identify("他在 iPhone 上打开了 GitHub，然后把这一段代码读了两遍。")[0] == "zh"


def test_english_with_one_chinese_name_is_english() -> None:
    assert identify("The poet 李白 was born far from the capital and travelled for most of his life.")[0] == "en"
