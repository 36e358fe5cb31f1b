"""Filters of value templates that know DICOM: dates, ages, person names, and text under a cap.

All are pure. A filter that cannot do its work raises `Impossible`, whose message never quotes a value. An empty text
stays empty.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2.filters import do_round

from gateway.routing.language.pattern import Regex, replacement_of
from gateway.routing.language.pseudonym import hashed_uid, is_well_known, shifted

MAX_CHARACTERS: Final = 10_240
"""The most characters of every text that is made on the way."""
MAX_DIGITS: Final = 15
"""The most digits to which a number is rounded: with a thousand million of them Python would calculate for hours."""


class Impossible(Exception):
    """A filter cannot be applied to this object's value."""


# --- dates and times --------------------------------------------------------------------------------------------

_DATE_TIME = re.compile(
    r"(?P<Y>\d{4})(?:\.?(?P<m>\d\d)(?:\.?(?P<d>\d\d)"
    r"(?:(?P<H>\d\d)(?:(?P<M>\d\d)(?:(?P<S>\d\d)(?:\.(?P<f>\d{1,6}))?)?)?)?)?)?(?:[+-]\d{4})?",
    re.ASCII,
)
_TIME = re.compile(r"(?P<H>\d\d)(?::?(?P<M>\d\d)(?::?(?P<S>\d\d)(?:\.(?P<f>\d{1,6}))?)?)?", re.ASCII)
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_OF_TIME = re.compile(r"%[HMSf]")


def date(text: str, form: str = "%Y-%m-%d") -> str:
    """A value of VR DA, DT or TM in the form of `%Y %m %d %y %j %H %M %S %f %%`. A text of up to 6 digits counts as a
    time when `form` has nothing but times in it."""
    text = text.strip()
    if not text:
        return ""
    is_time = bool(_OF_TIME.search(form)) and not re.search(r"%[Ymdyj]", form)
    match = (_TIME if is_time and not re.match(r"\d{8}", text) else _DATE_TIME).fullmatch(text)
    if match is None:
        raise Impossible(f"date takes a {'time as HHMMSS' if is_time else 'date as YYYYMMDD'}")
    parts = match.groupdict()
    return capped(_DIRECTIVE.sub(lambda found: _part(found[1], parts), form))


def _part(letter: str, parts: Mapping[str, str | None]) -> str:
    if letter == "%":
        return "%"
    if letter == "y":
        return (parts.get("Y") or _lacking(letter))[2:]
    if letter == "j":
        return f"{_day(parts).timetuple().tm_yday:03}"
    if letter == "f":
        return (parts.get("f") or "").ljust(6, "0")
    if letter not in ("Y", "m", "d", "H", "M", "S"):
        raise Impossible(f"date does not know %{letter}; it knows %Y %m %d %y %j %H %M %S %f %%")
    return parts.get(letter) or _lacking(letter)


def _lacking(letter: str) -> str:
    raise Impossible(f"date needs %{letter}, which the value does not go down to")


def _day(parts: Mapping[str, str | None]) -> datetime.date:
    try:
        return datetime.date(*(int(parts.get(letter) or _lacking(letter)) for letter in "Ymd"))
    except ValueError:
        raise Impossible("no such date in the calendar") from None


def add_days(text: str, days: int) -> str:
    """A value of VR DA or DT, that many days later."""
    if isinstance(days, bool) or not isinstance(days, int) or abs(days) > 4_000_000:
        raise Impossible("add_days takes a whole number of days; |int makes one of a text")
    try:
        return shifted(text, "DA" if len(text) in (8, 10) else "DT", days)
    except ValueError as error:
        raise Impossible(f"add_days takes a date: {error}") from None


def age_at(birth: str, day: str, unit: str = "") -> str:
    """The age (VR AS) on `day` of who was born on `birth`: in years from 2 years on, else in months from 2 months on,
    else in days; or in the `unit` Y, M, W or D. Empty when one of the dates is."""
    if not birth.strip() or not day.strip():
        return ""
    born, then = _parsed(birth), _parsed(day)
    if then < born:
        raise Impossible("age_at: the day lies before the birth")
    months = (then.year - born.year) * 12 + then.month - born.month - (then.day < born.day)
    days = (then - born).days
    unit = unit or ("Y" if months >= 24 else "M" if months >= 2 else "D")
    number = {"Y": months // 12, "M": months, "W": days // 7, "D": days}.get(unit)
    if number is None:
        raise Impossible("age_at knows the units Y, M, W and D")
    if number > 999:
        raise Impossible(f"the age has more than three digits in the unit {unit}")
    return f"{number:03}{unit}"


def _parsed(text: str) -> datetime.date:
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        raise Impossible("age_at takes dates as YYYYMMDD")
    return _day(match.groupdict())


# --- person names -----------------------------------------------------------------------------------------------

NAME_PARTS: Final = ("family", "given", "middle", "prefix", "suffix")
"""Components of a person name, in order (PS3.5 §6.2.1)."""
_NAME_PART = re.compile(r"\{(\w*)\}")


def _components(name: str) -> dict[str, str]:
    alphabetic = name.split("=")[0].split("^")
    return {part: text.strip() for part, text in zip(NAME_PARTS, [*alphabetic, *[""] * 5], strict=False)}


def name_part(part: str) -> Callable[[str], str]:
    """The filter that takes one component of the alphabetic group of a person name."""

    def component(name: str) -> str:
        return _components(name)[part]

    component.__doc__ = f"The {part} component of a person name's alphabetic group."
    return component


def pn_format(name: str, form: str = "{given} {family}") -> str:
    """A person name written in the form of `{family} {given} {middle} {prefix} {suffix}`; spaces around what is left
    out go."""
    parts = _components(name)
    if not any(parts.values()):
        return ""
    unknown = [part for part in _NAME_PART.findall(form) if part not in parts]
    if unknown:
        raise Impossible(f"pn_format knows {{{'}, {'.join(NAME_PARTS)}}}")
    room = sum(len(parts[part]) for part in _NAME_PART.findall(form)) + len(form)
    if room > MAX_CHARACTERS:
        raise Impossible("pn_format would make a text over the limit")
    return " ".join(_NAME_PART.sub(lambda found: parts[found[1]], form).split())


# --- text -------------------------------------------------------------------------------------------------------


def pad(text: object, width: int, fill: str = "0", side: str = "left") -> str:
    """`text` filled up to `width` characters with `fill`, on its left or right side."""
    if isinstance(width, bool) or not isinstance(width, int) or not 0 <= width <= MAX_CHARACTERS:
        raise Impossible(f"pad takes a width from 0 to {MAX_CHARACTERS}")
    if not isinstance(fill, str) or len(fill) != 1 or side not in ("left", "right"):
        raise Impossible("pad takes one character to fill with, and the side left or right")
    return capped(str(text).rjust(width, fill) if side == "left" else str(text).ljust(width, fill))


def rounded(number: float, precision: int = 0, method: str = "common") -> float:
    """A number rounded to that many digits behind the point; `method` is `common`, `ceil` or `floor`."""
    if isinstance(precision, bool) or not isinstance(precision, int) or abs(precision) > MAX_DIGITS:
        raise Impossible(f"round takes a precision from -{MAX_DIGITS} to {MAX_DIGITS}")
    return do_round(number, precision, method)  # type: ignore[arg-type]


def regex_replace(text: str, pattern: str, replacement: str = "") -> str:
    r"""`text` with every place where `pattern` (RE2) is found replaced; ``\1`` to ``\9`` are its groups."""
    regex, parts = compiled(pattern, replacement)
    try:
        return regex.replaced(str(text), parts, MAX_CHARACTERS)
    except OverflowError as error:
        raise Impossible(f"regex_replace: {error}") from None


@lru_cache(maxsize=1024)
def compiled(pattern: str, replacement: str) -> tuple[Regex, tuple[str | int, ...]]:
    """Raises ValueError for what is not an expression, or not a replacement for it."""
    regex = Regex(pattern)
    return regex, replacement_of(replacement, regex)


def capped(text: str) -> str:
    """`text`. Raises Impossible when it is too long."""
    if len(text) > MAX_CHARACTERS:
        raise Impossible(f"a text of {len(text)} characters comes up; at most {MAX_CHARACTERS} are allowed")
    return text


# --- what the configuration brings ------------------------------------------------------------------------------

KEYS, TABLES = "\0keys", "\0tables"
"""Names in the context that no template can write: keys and tables by the names that its filters give."""


@jinja2.pass_context
def uid(context: jinja2.runtime.Context, text: str, key: str) -> str:
    """Another UID in place of this one, by the secret `key`: the same as the action `hash_uid` gives it."""
    if not text or is_well_known(text):
        return text
    return hashed_uid(context.get(KEYS, {})[key], text)


@jinja2.pass_context
def lookup(context: jinja2.runtime.Context, text: str, table: str, default: str | None = None) -> str:
    """The text beside `text` in the second column of the file `table`; `default` when it is not in the first."""
    found = context.get(TABLES, {})[table].get(text, default)
    if found is None:
        raise Impossible(f"lookup: the value is not in {table}, and there is no default")
    return str(found)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "date": date,
    "add_days": add_days,
    "age_at": age_at,
    **{part: name_part(part) for part in NAME_PARTS},
    "pn_format": pn_format,
    "pad": pad,
    "round": rounded,
    "regex_replace": regex_replace,
    "uid": uid,
    "lookup": lookup,
}
"""Filters by their names in templates."""
