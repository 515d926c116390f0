"""How the templates of dates and centuries are written out, by the language of the wiki."""

from lmpipe.sources.wikitext_templates import Arguments, Page

MONTHS = {
    lang: tuple(names.split())
    for lang, names in {
        "en": "January February March April May June July August September October November December",
        "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "nl": "januari februari maart april mei juni juli augustus september oktober november december",
        "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "uk": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
        "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    }.items()
}
"""Names of the months as they stand in a date; other wikis show the number."""
DATES = {"de": "{day}. {month} {year}", "es": "{day} de {month} de {year}", "pt": "{day} de {month} de {year}"}
"""How a date is written, where not simply day month year."""


def date(arguments: Arguments, page: Page) -> str:
    """Show year|month|day, or day|month|year, as the wiki's language writes it; month first in English unless df is
    set, and with 年月日 in Chinese and Japanese."""
    year, month, day = arguments.get(1), arguments.get(2), arguments.get(3).lstrip("0")
    if len(day) > 2 and len(year) <= 2:
        year, day = day, year.lstrip("0")
    if page.lang == "ko":
        return year + "년" + (f" {month}월" if month else "") + (f" {day}일" if month and day else "")
    if page.lang in ("zh", "ja"):
        return year + (f"年{month}月" if month else "") + (f"{day}日" if month and day else "")
    names = MONTHS.get(page.lang, ())
    if month.isdecimal() and 1 <= int(month[:3]) <= len(names):
        month = names[int(month) - 1]
    if not month or not day:
        return " ".join(text for text in (month, year) if text)
    if page.lang == "en" and not arguments.get("df"):
        return f"{month} {day}, {year}"
    return DATES.get(page.lang, "{day} {month} {year}").format(day=day, month=month, year=year)


def as_of(arguments: Arguments, page: Page) -> str:
    """Show {{as of|2020|5}} as "As of May 2020"; on other wikis than English, the date alone."""
    if arguments.get("alt"):
        return arguments.get("alt")
    if page.lang != "en":
        return date(arguments, page)
    word = "since" if arguments.get("since") else "as of"
    word = word if arguments.get("lc") else word.capitalize()
    return f"{word} {date(arguments, page)}"


def death(arguments: Arguments, page: Page) -> str:
    """Show the second of the two dates of {{没年齢|1935|1|8|1977|8|16}}."""
    return date(Arguments(arguments.all()[3:6], {}), page) if len(arguments.all()) > 3 else date(arguments, page)


def death_and_age(arguments: Arguments, page: Page) -> str:
    """Show {{death date and age|2020|3|1|1950|6|15}} as "March 1, 2020 (aged 69)"."""
    texts = arguments.all()
    years = age(Arguments(texts[3:6] + texts[:3], {}), page)
    return date(arguments, page) + (f" (aged {years})" if years and page.lang == "en" else "")


def lifetime(arguments: Arguments, page: Page) -> str:
    """Show {{bd|1900年|1月1日|1980年|2月2日}} as "1900年1月1日－1980年2月2日"."""
    birth = arguments.get(1) + arguments.get(2)
    return f"{birth}－{arguments.get(3)}{arguments.get(4)}" if birth or arguments.get(3) else ""


def old_style(arguments: Arguments, page: Page) -> str:
    """Show {{OldStyleDateNY|February 2|January 20}} as "February 2 [O.S. January 20]"."""
    return arguments.get(1) + (f" [O.S. {arguments.get(2)}]" if arguments.get(2) else "")


def century(arguments: Arguments, page: Page) -> str:
    """Show {{s|XIX|e}} as "XIXe siècle" and {{siglo|XIX}} as "siglo XIX"; elsewhere its text."""
    text = "".join(arguments.all()[:2])
    if page.lang == "fr" and text:
        return text + ("e" if text == arguments.get(1) else "") + " siècle"
    return f"siglo {arguments.get(1)}" if page.lang == "es" and text else arguments.get(1)


def age(arguments: Arguments, page: Page) -> str:
    """Show {{age|1990|1|31|2000|1|1}} as "9"; of one date nothing, for the age at the time of reading is not text."""
    texts = arguments.all()[:6]
    if len(texts) < 6 or not all(text.isdecimal() and len(text) < 6 for text in texts):
        return ""
    born, then = tuple(map(int, texts[:3])), tuple(map(int, texts[3:]))
    return str(then[0] - born[0] - (then[1:] < born[1:]))
