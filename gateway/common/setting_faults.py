"""Faults of settings in words: one phrase for each kind of fault, for sections and for registered kinds alike.

Names and values stand in backticks. A fault says what was expected, what was found, and the nearest fix.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.common.nearest import nearest

ALIKE = 0.65
"""The least nearness of a known word to be offered, from 0 to 1."""
MOST_SHOWN = 60
"""Characters of a value that are shown."""
TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
}
"""Type of JSON Schema → what it is called."""
YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One fault, without its place."""

    code: str
    message: str


def quoted(text: str) -> str:
    """A name or value in backticks, on one line and not too long."""
    line = text.replace("\n", "\\n")
    return f"`{line[:MOST_SHOWN]}…`" if len(line) > MOST_SHOWN else f"`{line}`"


def found(value: object) -> str:
    """A plain value of a configuration, as messages call it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return f"the text {quoted(value)}" if value else "an empty text"
    return quoted(str(value))


def listed(words: Iterable[str], last: str = "or") -> str:
    """`` `a`, `b` or `c` ``."""
    marked = [f"`{word}`" for word in words]
    if len(marked) < 2:
        return "".join(marked)
    return f"{', '.join(marked[:-1])} {last} {marked[-1]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean `pacs`?)``, or nothing when no known word is near; upper and lower case do not matter."""
    near = likely(word, known)
    return meant(near) if near else ""


def names_nothing(name: str, what: str, known: Iterable[str]) -> str:
    """`` 'pasc' is no peer (did you mean `pacs`?) (known: pacs, vna)``: a name that an operator gave, and is not known.
    `what` says why."""
    known = sorted({*known})
    return f"{name!r} {what}{did_you_mean(name, known)} (known: {', '.join(known) or 'none'})"


def likely(word: str, known: Iterable[str]) -> str:
    """The known word that is near enough to be meant; empty when none is."""
    return nearest(word, known, ALIKE)


def meant(written: str) -> str:
    """As `did_you_mean`, for what is known to be meant."""
    return f" (did you mean `{written}`?)"


def unknown_setting(name: str, known: Iterable[str], hint: str = "") -> SettingFault:
    """A name that is no setting; `hint` is said instead of the nearest one."""
    if name.isdigit():
        hint = "; inside { } a comma divides settings: write numbers without one"
    known = tuple(known)
    near = hint or did_you_mean(name, known) or (f"; known here: {listed(known)}" if known else "")
    return SettingFault("unknown-setting", f"there is no setting `{name}` here{near}")


def missing_setting(name: str) -> SettingFault:
    return SettingFault("missing-setting", f"the setting `{name}` is missing")


def needs(subject: str, names: Sequence[str], why: str = "") -> SettingFault:
    """A setting or kind that makes no sense without one of others. `subject` is as it is written."""
    one_of = "" if len(names) == 1 else "one of "
    return SettingFault("missing-setting", f"`{subject}` needs {one_of}{listed(names)}{f', {why}' if why else ''}")


def wrong_type(expected: str, found: str, hint: str = "") -> SettingFault:
    return SettingFault("wrong-type", f"expected {expected}, found {found}{hint}")


def bad_format(expected: str, found: str, hint: str = "") -> SettingFault:
    return SettingFault("bad-format", f"expected {expected}, found {found}{hint}")


def not_one_of(words: Collection[str], found: str, text: str = "") -> SettingFault:
    """`text` is what was written, to find the word that is nearest; empty when it is not to be shown."""
    near = did_you_mean(text, words) if text else ""
    return SettingFault("not-one-of", f"expected {listed(words)}, found {found}{near}")


def out_of_range(expected: str, found: str) -> SettingFault:
    return SettingFault("out-of-range", f"expected {expected}, found {found}")


def empty(what: str) -> SettingFault:
    return SettingFault("empty", f"this {what} is empty; write at least one value, or leave the setting out")


def hidden(shown: str) -> str:
    """The message on a secret, where the usual one would repeat it. `shown` is how it is written."""
    return f"what {shown} stands for is not valid here"


def not_both(owner: str, first: str, second: str, hint: str = "") -> SettingFault:
    """Two settings of which one may stand."""
    return SettingFault("conflict", f"{owner} has `{first}` or `{second}`, not both{hint}")


def one_way(kind: str, first: str) -> str:
    """A kind that takes one of several settings alone, and has `first` already."""
    return f"`{kind}` compares in one way only, and has `{first}` already; combine with `all:`"


def unknown_word(noun: str, word: str, near: str) -> str:
    """A word that neither DICOM nor the gateway knows; `near` says which it does, as `did_you_mean`."""
    return f"unknown {noun} {quoted(word)}{near}"


def no_such_name(noun: str, shown: str, word: str, known: Iterable[str], *, are_known_listed: bool = False) -> str:
    """A name that the configuration does not give. `shown` is how it is written, which may hide a secret."""
    known = sorted(known)
    others = f"; there are {listed(known, 'and')}" if are_known_listed and known else ""
    return f"no {noun} is named {shown}{did_you_mean(word, known) or others}"


def as_mapping(known: Iterable[str]) -> str:
    """The form of these settings, for a place where one value stands."""
    names = list(known)[:2]
    return f"; it has settings of its own, as {{{', '.join(f'{name}: …' for name in names)}}}" if names else ""


AS_LIST = "; put it in [ ], or write it as `- …`"


def number_hint(text: str) -> str:
    """The hint on a text that stands where a number is expected."""
    if re.fullmatch(r"0[0-9]+", text):
        return "; leave out the zeros before it"
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return "; leave out the quotes"
    return ""


def yes_no_hint(text: str) -> str:
    """The hint on a text that stands where `true` or `false` is expected."""
    word = YES_NO.get(text.casefold())
    return meant(word) if word else ""
