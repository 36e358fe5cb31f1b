"""Actions that make new values of an attribute's own values, each value for itself. See `gateway.ports`.

Attributes that are absent stay absent, empty ones stay empty. Below a sequence with ``[*]`` every item's value becomes
a new one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from gateway.common import setting_faults as faults
from gateway.dataset.charset import UNDECODABLE
from gateway.dataset.encode import problem_with
from gateway.dataset.private import vr_at
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.actions.attributes import split, whole_values
from gateway.routing.language.attribute_path import called
from gateway.routing.language.fields import SecretKey, SetTarget, TableFile
from gateway.routing.language.pattern import Allowance, Regex, replacement_of
from gateway.routing.language.pseudonym import hashed_text
from gateway.routing.language.template import Template

MAX_TEXT_CHARACTERS: Final = 1 << 20
"""The most characters of a value that `replace` makes."""
MAX_PAD_CHARACTERS: Final = 1024

TextValues = tuple[str, ...]


def each_value(paths: Iterable[AttributePath], facts: Facts, new: Callable[[str], str]) -> Iterator[Edit]:
    """The edits that give every value at `paths` the text that `new` makes of it; none where nothing changes."""
    for path in paths:
        for place in facts.places(path):
            before = whole_values(facts, place) or ()
            after = tuple(value and new(value) for value in before)
            if after != before:
                yield Edit(place, after if any(after) else ())


@action("replace")
@dataclass(frozen=True, slots=True)
class Replace:
    r"""Replaces every place in the values of `attributes` where the regular expression `pattern` (RE2) is found with
    `with`, in which ``\1`` to ``\9`` are the pattern's groups, ``\0`` is all that was found and ``\\`` a backslash.

    ``^`` and ``$`` are the ends of one value; ``(?i)`` at the front makes upper and lower case the same.
    """

    example: ClassVar[str] = r"""
replace:
  attributes: [StudyDescription, SeriesDescription]
  pattern: '(?i)^mri?\s+(\w+)'
  with: 'MR \1'
"""

    attributes_: tuple[SetTarget, ...]
    pattern: Regex
    with_: str

    def edits(self, facts: Facts) -> Iterable[Edit]:
        replacement = replacement_of(self.with_, self.pattern)
        allowance = Allowance()
        return each_value(self.attributes_, facts, lambda value: self._new(value, replacement, allowance))

    def attributes(self) -> Iterable[AttributePath]:
        return self.attributes_

    def problems(self) -> Iterable[SettingProblem]:
        try:
            replacement_of(self.with_, self.pattern)
        except ValueError as error:
            yield ("with",), str(error)

    def _new(self, value: str, replacement: Sequence[str | int], allowance: Allowance) -> str:
        try:
            return self.pattern.replaced(value, replacement, MAX_TEXT_CHARACTERS, allowance)
        except OverflowError as error:
            raise Refusal(f"replace cannot be done: {error}") from None


@action("case")
@dataclass(frozen=True, slots=True)
class CaseAction:
    """Writes the values of `attributes` in `upper` or `lower` case, or as a `title`: words begin with capitals."""

    example: ClassVar[str] = "case: {attributes: [PatientName, InstitutionName], to: upper}"

    attributes_: tuple[SetTarget, ...]
    to: Literal["upper", "lower", "title"]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return each_value(self.attributes_, facts, _CASES[self.to])

    def attributes(self) -> Iterable[AttributePath]:
        return self.attributes_

    def problems(self) -> Iterable[SettingProblem]:
        for index, path in enumerate(self.attributes_):
            if self.to != "upper" and vr_at(path) == "CS":
                yield ("attributes", index), f"{called(path)} has VR CS, which holds capital letters only"


_SHORT_ENDING: Final = re.compile(r"(?<=\w)['\u2019]\w\b")


def _title(text: str) -> str:
    """``O'Neil`` has two capitals, ``Patient's`` has one."""
    return _SHORT_ENDING.sub(lambda ending: ending.group().lower(), text.title())


_CASES: Final[Mapping[str, Callable[[str], str]]] = {"upper": str.upper, "lower": str.lower, "title": _title}


@action("truncate")
@dataclass(frozen=True, slots=True)
class Truncate:
    """Cuts the values of `attributes` after `to` characters; spaces at the end go as well."""

    example: ClassVar[str] = "truncate: {attributes: [AccessionNumber, StudyID], to: 16}"

    attributes_: tuple[SetTarget, ...]
    to: int

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return each_value(self.attributes_, facts, lambda value: value[: self.to].rstrip(" "))

    def attributes(self) -> Iterable[AttributePath]:
        return self.attributes_

    def problems(self) -> Iterable[SettingProblem]:
        if self.to < 1:
            yield ("to",), f"values of {self.to} characters: use the action `empty`"


@action("pad")
@dataclass(frozen=True, slots=True)
class Pad:
    """Fills up the values of `attributes` to `to` characters with the character `with`, on their `left` or `right`
    side. Longer values stay."""

    example: ClassVar[str] = "pad: {attributes: PatientID, to: 10}"

    attributes_: tuple[SetTarget, ...]
    to: int
    with_: str = "0"
    side: Literal["left", "right"] = "left"

    def edits(self, facts: Facts) -> Iterable[Edit]:
        fill = str.rjust if self.side == "left" else str.ljust
        return each_value(self.attributes_, facts, lambda value: fill(value, self.to, self.with_))

    def attributes(self) -> Iterable[AttributePath]:
        return self.attributes_

    def problems(self) -> Iterable[SettingProblem]:
        if not 1 <= self.to <= MAX_PAD_CHARACTERS:
            yield ("to",), f"expected 1 to {MAX_PAD_CHARACTERS} characters, not {self.to}"
        if len(self.with_) != 1 or self.with_ in " \\":
            yield ("with",), f"expected one character other than space and backslash, not {self.with_!r}"


@action("map")
@dataclass(frozen=True, slots=True)
class Map:
    """Gives the values of `attributes` the values that stand for them in `values`, or in the file `table`: CSV of two
    columns, old and new, relative to the YAML file and read with it.

    What is not in there becomes `default` (a text or a template); without one, `on_missing` says whether it stays
    (`keep`), goes (`empty`), or the object is refused (`reject`).
    """

    example: ClassVar[str] = """
map:
  attributes: BodyPartExamined
  values: {BRAIN: HEAD, SKULL: HEAD, LSPINE: SPINE}
  on_missing: keep
"""

    attributes_: tuple[SetTarget, ...]
    values: Mapping[str, str] | None = None
    table: TableFile | None = None
    default: Template | None = None
    on_missing: Literal["keep", "empty", "reject"] | None = None

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [edit for path in self.attributes_ for place in facts.places(path) for edit in self._edit(place, facts)]

    def attributes(self) -> Iterable[AttributePath]:
        return [*self.attributes_, *(path for _name, path in self.default.attributes)] if self.default else (
            self.attributes_
        )  # fmt: skip

    def problems(self) -> Iterable[SettingProblem]:
        if (self.values is None) is (self.table is None):
            names = ("values", "table")
            fault = faults.needs("map", names) if self.values is None else faults.not_both("`map`", *names)
            yield (), fault.message
        if self.default is not None and self.on_missing is not None:
            yield ("on_missing",), "map has a default: nothing is missing"
        for path in self.attributes_:
            yield from self._problems_at(path)

    def _problems_at(self, path: AttributePath) -> Iterable[SettingProblem]:
        vr = vr_at(path)
        if vr is None:
            return
        if self.default is not None and self.default.is_constant:
            problem = problem_with(split(path, self.default.text), vr)
            if problem:
                yield ("default",), f"{called(path)}: {problem}"
        for old, new in (self.values or {}).items():
            if problem := problem_with(split(path, new), vr):
                yield ("values", old), f"{called(path)}: {problem}"
        wrong = [problem for new in (self.table or {}).values() if (problem := problem_with(split(path, new), vr))]
        if wrong:
            yield ("table",), f"{called(path)}: {len(wrong)} new values in the file are not possible: {wrong[0]}"

    def _edit(self, place: AttributePath, facts: Facts) -> Iterator[Edit]:
        before = whole_values(facts, place) or ()
        known = self.values if self.values is not None else self.table or {}
        after: list[str] = []
        for value in before:
            new = known.get(value)
            if new is None:
                new = self._missing(value, place, facts)
            after += split(place, new) if len(before) == 1 else [new]
        if tuple(after) != before:
            yield Edit(place, tuple(after) if any(after) else ())

    def _missing(self, value: str, place: AttributePath, facts: Facts) -> str:
        if not value:
            return value
        if self.default is not None:
            return self.default.render(facts)
        if self.on_missing == "reject":
            raise Refusal(f"the value of {called(place)} is not in the map")
        return "" if self.on_missing == "empty" else value


@action("hash")
@dataclass(frozen=True, slots=True)
class Hash:
    """Replaces the values of `attributes` with `length` characters (A to Z, 2 to 7) that depend on the value and on the
    secret `key` alone: the same everywhere the key is used, and without a way back for who does not have it.

    A value that cannot be read as text is emptied. With 16 characters two among a billion values hardly ever meet.
    """

    example: ClassVar[str] = "hash: {attributes: [PatientID, AccessionNumber], key: research}"

    attributes_: tuple[SetTarget, ...]
    key: SecretKey
    length: int = 16

    def edits(self, facts: Facts) -> Iterable[Edit]:
        places = [place for path in self.attributes_ for place in facts.places(path)]
        return [Edit(place, self._hashed(whole_values(facts, place) or ())) for place in places]

    def attributes(self) -> Iterable[AttributePath]:
        return self.attributes_

    def problems(self) -> Iterable[SettingProblem]:
        if not MIN_HASH_CHARACTERS <= self.length <= MAX_HASH_CHARACTERS:
            yield ("length",), f"expected {MIN_HASH_CHARACTERS} to {MAX_HASH_CHARACTERS} characters, not {self.length}"
            return
        for index, path in enumerate(self.attributes_):
            vr = vr_at(path)
            if vr == "UI":
                yield ("attributes", index), f"{called(path)} is a UID: use the action `hash_uid`"
            elif vr is not None and (problem := problem_with(("A" * self.length,), vr)):
                yield ("attributes", index), f"{called(path)} cannot hold a hash: {problem}"

    def _hashed(self, values: TextValues) -> TextValues:
        hashed = tuple(self._hashed_value(value) for value in values)
        return hashed if any(hashed) else ()

    def _hashed_value(self, value: str) -> str:
        """The hashed value. The undecoded bytes of a text count: they may be all that tells two patients apart."""
        return "" if UNDECODABLE in value else hashed_text(self.key, value, self.length)


MIN_HASH_CHARACTERS: Final = 8
"""Below, other values soon get the same replacement."""
MAX_HASH_CHARACTERS: Final = 51
"""The length of a SHA-256 digest in base 32."""
