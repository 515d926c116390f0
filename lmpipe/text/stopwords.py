"""Stop words by language: the short lists by which filters know running text, and the long ones of topic work.

The short lists are Gopher's for English and FineWeb2's learnt ones for four languages; a filter asks
how many different ones of them a document has. The long lists are stopwords-iso's (58 languages,
from the package stopwordsiso): their share among the words is a signal, and `content_words` leaves
them out, for n-grams and topics. Training text always keeps its stop words.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import stopwordsiso

from lmpipe.text.segment import words

SHORT_LISTS = {
    "en": "the be to of and that have with",
    "zh": "的 年 在 月 是 和 日 了 於 · 為 有 被 人 中 为 他 與 後 也 而 由",
    "ja": "の に を は た て が と で 年 し ・ 月 れ さ",
    "de": "der und die in von im den des mit das er dem als wurde für",
    "fr": "de la le et à en l' des du les est d' un une il dans par au",
}
"""English: Rae et al. 2021, appendix A1.1. The others: FineWeb2's configs cmn_Hani, jpn_Jpan, deu_Latn
and fra_Latn (learnt from Wikipedia, hence the year, month and day)."""


@cache
def short_list(language: str) -> Mapping[str, int]:
    """Number the stop words of the short list of a language; empty where it has none."""
    return {word: number for number, word in enumerate(SHORT_LISTS.get(language, "").split())}


@cache
def long_list(language: str) -> frozenset[str]:
    """List the stop words of a language in lower case; empty where stopwords-iso has none."""
    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


def content_words(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """Write each text as its words that are no stop words, as they are written, parted by one blank."""
    return [
        " ".join(word for word in words(text, language) if plain(word) not in long_list(language))
        for text, language in zip(texts, languages, strict=True)
    ]


def plain(word: str) -> str:
    """Write a word as the lists do: in lower case, with a straight apostrophe."""
    return word.lower().replace("’", "'")
