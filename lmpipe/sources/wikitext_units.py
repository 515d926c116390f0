"""Write out {{convert}}: the value a reader sees, and its conversion as Wikipedia rounds it."""

import math
import re
from typing import NamedTuple

from lmpipe.sources.wikitext_names import EAST_ASIAN_UNITS


class Measure(NamedTuple):
    """A unit of measurement."""

    singular: str
    plural: str
    symbol: str
    kind: str
    """Only units of one kind convert into each other."""
    factor: float
    """How many of the kind's SI unit one of these is."""
    default: str | None
    """The unit {{convert}} shows when none is asked for."""


MEASURES = {
    "mm": Measure("millimetre", "millimetres", "mm", "length", 1e-3, "in"),
    "cm": Measure("centimetre", "centimetres", "cm", "length", 1e-2, "in"),
    "m": Measure("metre", "metres", "m", "length", 1.0, "ft"),
    "km": Measure("kilometre", "kilometres", "km", "length", 1e3, "mi"),
    "in": Measure("inch", "inches", "in", "length", 0.0254, "mm"),
    "ft": Measure("foot", "feet", "ft", "length", 0.3048, "m"),
    "yd": Measure("yard", "yards", "yd", "length", 0.9144, "m"),
    "mi": Measure("mile", "miles", "mi", "length", 1609.344, "km"),
    "nmi": Measure("nautical mile", "nautical miles", "nmi", "length", 1852.0, "km mi"),
    "m2": Measure("square metre", "square metres", "m²", "area", 1.0, "sqft"),
    "cm2": Measure("square centimetre", "square centimetres", "cm²", "area", 1e-4, "sqin"),
    "km2": Measure("square kilometre", "square kilometres", "km²", "area", 1e6, "sqmi"),
    "ha": Measure("hectare", "hectares", "ha", "area", 1e4, "acre"),
    "acre": Measure("acre", "acres", "acres", "area", 4046.8564224, "ha"),
    "sqin": Measure("square inch", "square inches", "sq in", "area", 0.00064516, "cm2"),
    "sqft": Measure("square foot", "square feet", "sq ft", "area", 0.09290304, "m2"),
    "sqmi": Measure("square mile", "square miles", "sq mi", "area", 2589988.110336, "km2"),
    "m3": Measure("cubic metre", "cubic metres", "m³", "volume", 1.0, "cuft"),
    "km3": Measure("cubic kilometre", "cubic kilometres", "km³", "volume", 1e9, "cumi"),
    "cuft": Measure("cubic foot", "cubic feet", "cu ft", "volume", 0.028316846592, "m3"),
    "cumi": Measure("cubic mile", "cubic miles", "cu mi", "volume", 4168181825.44058, "km3"),
    "L": Measure("litre", "litres", "L", "volume", 1e-3, "impgal"),
    "impgal": Measure("imperial gallon", "imperial gallons", "imp gal", "volume", 0.00454609, "L"),
    "USgal": Measure("US gallon", "US gallons", "US gal", "volume", 0.003785411784, "L"),
    "acre.ft": Measure("acre-foot", "acre-feet", "acre⋅ft", "volume", 1233.48183754752, "m3"),
    "g": Measure("gram", "grams", "g", "mass", 1e-3, "oz"),
    "kg": Measure("kilogram", "kilograms", "kg", "mass", 1.0, "lb"),
    "t": Measure("tonne", "tonnes", "t", "mass", 1e3, "LT"),
    "oz": Measure("ounce", "ounces", "oz", "mass", 0.028349523125, "g"),
    "lb": Measure("pound", "pounds", "lb", "mass", 0.45359237, "kg"),
    "ST": Measure("short ton", "short tons", "short tons", "mass", 907.18474, "t"),
    "LT": Measure("long ton", "long tons", "long tons", "mass", 1016.0469088, "t"),
    "km/h": Measure("kilometre per hour", "kilometres per hour", "km/h", "speed", 1 / 3.6, "mph"),
    "m/s": Measure("metre per second", "metres per second", "m/s", "speed", 1.0, "ft/s"),
    "km/s": Measure("kilometre per second", "kilometres per second", "km/s", "speed", 1e3, "mi/s"),
    "mi/s": Measure("mile per second", "miles per second", "mi/s", "speed", 1609.344, "km/s"),
    "ft/s": Measure("foot per second", "feet per second", "ft/s", "speed", 0.3048, "m/s"),
    "mph": Measure("mile per hour", "miles per hour", "mph", "speed", 0.44704, "km/h"),
    "kn": Measure("knot", "knots", "kn", "speed", 1852 / 3600, "km/h"),
    "m3/s": Measure("cubic metre per second", "cubic metres per second", "m³/s", "flow", 1.0, "cuft/s"),
    "cuft/s": Measure("cubic foot per second", "cubic feet per second", "cu ft/s", "flow", 0.028316846592, "m3/s"),
    "/km2": Measure("per square kilometre", "per square kilometre", "/km²", "density", 1.0, "/sqmi"),
    "/sqmi": Measure("per square mile", "per square mile", "/sq mi", "density", 0.3861021585424458, "/km2"),
    "kg/m3": Measure("kilogram per cubic metre", "kilograms per cubic metre", "kg/m³", "massdensity", 1.0, "lb/cuft"),
    "g/cm3": Measure("gram per cubic centimetre", "grams per cubic centimetre", "g/cm³", "massdensity", 1e3, "lb/cuin"),
    "lb/cuft": Measure("pound per cubic foot", "pounds per cubic foot", "lb/cu ft", "massdensity", 16.018463, "kg/m3"),
    "lb/cuin": Measure(
        "pound per cubic inch", "pounds per cubic inch", "lb/cu in", "massdensity", 27679.904710, "g/cm3"
    ),
    "kW": Measure("kilowatt", "kilowatts", "kW", "power", 1e3, "hp"),
    "MW": Measure("megawatt", "megawatts", "MW", "power", 1e6, "hp"),
    "hp": Measure("horsepower", "horsepower", "hp", "power", 745.69987158227, "kW"),
    "kPa": Measure("kilopascal", "kilopascals", "kPa", "pressure", 1e3, "psi"),
    "MPa": Measure("megapascal", "megapascals", "MPa", "pressure", 1e6, "psi"),
    "psi": Measure("pound per square inch", "pounds per square inch", "psi", "pressure", 6894.757293, "kPa"),
    "bar": Measure("bar", "bars", "bar", "pressure", 1e5, "kPa"),
    "atm": Measure("standard atmosphere", "standard atmospheres", "atm", "pressure", 101325.0, "kPa"),
    "C": Measure("degree Celsius", "degrees Celsius", "°C", "temperature", 1.0, "F"),
    "F": Measure("degree Fahrenheit", "degrees Fahrenheit", "°F", "temperature", 5 / 9, "C"),
    "K": Measure("kelvin", "kelvins", "K", "temperature", 1.0, "C"),
    "ly": Measure("light-year", "light-years", "ly", "length", 9.4607304725808e15, "pc"),
    "pc": Measure("parsec", "parsecs", "pc", "length", 3.0856775814913674e16, "ly"),
    "AU": Measure("astronomical unit", "astronomical units", "AU", "length", 149597870700.0, "km"),
}
"""The units that make up nearly all uses; factors from NIST SP 811 (2008), appendix B, and IAU 2012/2015."""

ALIASES = {
    "metre": "m", "meter": "m", "metres": "m", "meters": "m", "kilometre": "km", "kilometer": "km", "kilometres": "km",
    "kilometers": "km", "mile": "mi", "miles": "mi", "foot": "ft", "feet": "ft", "inch": "in", "inches": "in",
    "yard": "yd", "yards": "yd", "sqkm": "km2", "sqm": "m2", "mi2": "sqmi", "ft2": "sqft", "acres": "acre",
    "hectare": "ha", "hectares": "ha", "kmh": "km/h", "kph": "km/h", "knot": "kn", "knots": "kn", "°C": "C", "°F": "F",
    "kilogram": "kg", "kilograms": "kg", "pound": "lb", "pounds": "lb", "lbs": "lb", "tonne": "t", "tonnes": "t",
    "MT": "t", "l": "L", "litre": "L", "liter": "L", "litres": "L", "ounce": "oz", "bhp": "hp", "gal": "USgal",
    "U.S.gal": "USgal", "PD/sqkm": "/km2", "PD/km2": "/km2", "PD/sqmi": "/sqmi", "cumecs": "m3/s",
}  # fmt: skip
"""Other codes {{convert}} knows for the same units."""

MAX_DECIMALS = 12
"""What a converted value is written with at most."""
ZERO = {"C": 273.15, "F": 459.67 * 5 / 9, "K": 0.0}
"""Kelvins at zero of each temperature scale."""
RANGES = {
    "-": "–", "–": "–", "to": " to ", "and": " and ", "or": " or ", "x": " by ", "by": " by ", "×": " × ", "*": " × ",
    "to(-)": " to ", "and(-)": " and ", "+/-": " ± ", "±": " ± ", "&ndash;": "–", "&": " and ",
}  # fmt: skip
"""Words between two values, as readers see them."""


def convert(positional: list[str], named: dict[str, str], lang: str) -> str:
    """Write {{convert|93|m|ft}} as "93 metres (305 ft)".

    `lang` is the wiki's: Chinese and Japanese have names of their own, others than English show symbols.
    A unit or a form that is not known leaves the value and the unit as they were written.
    """
    values, words, rest = split_values([argument.strip() for argument in positional])
    if not values:
        return ""
    code = rest[0] if rest else ""
    source = measure(code)
    shown = joined([grouped(value) for value in values], words)
    if source is None:
        return f"{shown} {code}".strip()
    into = targets(rest, source)
    numbers = [[rounded(value, source, unit, digits(rest[2:], named)) for value in values] for unit in into]
    others = [joined(texts, words) for texts in numbers]
    if lang in ("zh", "ja"):
        return east_asian(shown, source, dict(zip(into, others, strict=True)))
    style = unit_style(named) if lang == "en" else "symbol"
    shown += with_unit(source, style, plural=values != ["1"])
    if named.get("sp") == "us":
        shown = shown.replace("metre", "meter").replace("litre", "liter")
    converted_values = [text + with_unit(unit, "symbol", plural=True) for unit, text in zip(into, others, strict=True)]
    return shown + (f" ({'; '.join(converted_values)})" if others else "")


def unit_style(named: dict[str, str]) -> str:
    """Say how {{convert}} was asked to write the first unit."""
    if named.get("abbr", "") in ("on", "in", "mos", "values"):
        return "symbol"
    return "adjective" if named.get("adj") in ("on", "mid") else "name"


def east_asian(shown: str, source: Measure, others: dict[Measure, str]) -> str:
    """Write 93米（305英尺）; a unit without a Chinese name keeps its symbol."""
    texts = [text + EAST_ASIAN_UNITS.get(unit.symbol, unit.symbol) for unit, text in others.items()]
    return shown + EAST_ASIAN_UNITS.get(source.symbol, source.symbol) + (f"（{'；'.join(texts)}）" if texts else "")


def split_values(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Split 10|to|20|km|mi into its values, the words between them, and what follows."""
    if not arguments or number(arguments[0]) is None:
        return [], [], arguments
    values, words, place = [arguments[0]], [], 1
    while place + 1 < len(arguments) and arguments[place] in RANGES and number(arguments[place + 1]) is not None:
        words.append(RANGES[arguments[place]])
        values.append(arguments[place + 1])
        place += 2
    return values, words, arguments[place:]


def measure(code: str) -> Measure | None:
    """Find a unit by its code in {{convert}}."""
    return MEASURES.get(ALIASES.get(code, code))


def number(text: str) -> float | None:
    """Read 1,234.5 or −3 or 1+1/2; anything else, and what no unit is measured in, is None."""
    plain = text.replace(",", "").replace("−", "-")
    whole, plus, fraction = plain.rpartition("+")
    top, slash, bottom = fraction.partition("/")
    try:
        value = float(whole or 0) * (1 if plus else 0) + (float(top) / float(bottom) if slash else float(fraction))
    except (ValueError, ZeroDivisionError):
        return None
    return value if abs(value) < 1e30 else None


def grouped(value: str) -> str:
    """Write a number with thousands separated, as {{convert}} and {{formatnum:}} do in English."""
    whole, point, decimals = value.partition(".")
    digits = whole.lstrip("-−")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 300:
        return value
    return ("−" if whole != digits else "") + f"{int(digits):,}" + point + decimals


def joined(values: list[str], words: list[str]) -> str:
    """Put the words between the values."""
    return values[0] + "".join(word + value for word, value in zip(words, values[1:], strict=True))


def with_unit(unit: Measure, style: str, *, plural: bool) -> str:
    """Write a unit behind its value: by symbol, as an adjective (93-metre), or by name."""
    if style == "symbol" or unit.kind == "temperature":
        return (" " if unit.symbol[0] != "/" else "") + unit.symbol
    if style == "adjective":
        return "-" + unit.singular.replace(" ", "-")
    return " " + (unit.plural if plural else unit.singular)


def targets(rest: list[str], source: Measure) -> list[Measure]:
    """Find the units to convert into: those asked for, else the default."""
    asked = rest[1] if len(rest) > 1 and number(rest[1]) is None else source.default or ""
    found = [measure(code) for code in ([asked] if measure(asked) else asked.split())]
    return [unit for unit in found if unit is not None and unit.kind == source.kind]


def digits(rest: list[str], named: dict[str, str]) -> int | None:
    """Read how many decimals were asked for."""
    asked = rest[0] if rest else ""
    return int(asked) if re.fullmatch("-?[0-9]", asked) and "sigfig" not in named else None


def rounded(text: str, source: Measure, unit: Measure, decimals: int | None) -> str:
    """Convert one value, as precise as it was given and with two significant digits at least.

    The rule is default_precision in Wikipedia's Module:Convert.
    """
    value = number(text) or 0.0
    result = converted(value, source, unit)
    if decimals is None:
        decimals = precision(text, value, result, source.kind == "temperature")
    factor = 10.0**decimals
    # Half away from zero, as Lua's floor(x + 0.5); Python's round would take the even neighbour.
    result = math.copysign(math.floor(abs(result) * factor + 0.5) / factor, result)
    return grouped(f"{result:.{max(decimals, 0)}f}")


def converted(value: float, source: Measure, unit: Measure) -> float:
    """Convert a value into another unit of its kind."""
    if source.kind != "temperature":
        return value * source.factor / unit.factor
    kelvins = value * source.factor + ZERO[source.symbol.strip("°")]
    return (kelvins - ZERO[unit.symbol.strip("°")]) / unit.factor


def precision(text: str, value: float, result: float, temperature: bool) -> int:
    """Say to how many decimals a converted value is rounded; negative ones are tens, hundreds, ..."""
    whole, point, decimals = text.partition(".")
    given = len(decimals) if point else -(len(whole) - len(whole.rstrip("0,").rstrip(",")))
    if temperature or not value or not result:
        return min(max(given, 0), MAX_DECIMALS)
    least = 1 - math.floor(math.log10(abs(result)) + 1e-14)
    return min(max(math.floor(given + math.log10(abs(value) / abs(result)) + 0.55), least), MAX_DECIMALS)
