"""`*.test.yaml` → cases, with every mistake reported at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.common import setting_faults as faults
from gateway.common.regular_file import read_regular_file
from gateway.common.setting_faults import did_you_mean
from gateway.config.compile_context import Context
from gateway.config.findings import Findings
from gateway.config.parse import FILE_LIMIT_BYTES, parse
from gateway.config.spec.cases import CaseSpec, CasesSpec, ExpectedAtSpec, ExpectedSpec, SenderSpec
from gateway.config.tree import BrokenNode, MappingNode, Place, Plain, lossless, without_secrets
from gateway.config.typed_tree import check
from gateway.forms.groups import settings
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import Mark, Problem
from gateway.routing.language.attribute_path import parse as attribute
from gateway.routing.language.fields import transfer_syntax_uid

SUFFIX = ".test.yaml"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
CALLING_AE_TITLE = "TEST"

ExpectedValues = Mapping[AttributePath, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ExpectedAt:
    """The expected object as it is kept, or as one destination gets it."""

    values: ExpectedValues = field(default_factory=dict)
    absent: tuple[AttributePath, ...] = ()
    transfer_syntax_uid: str = ""
    """Empty: any."""
    is_refused: bool | None = None
    """True: its route's actions cannot be done."""


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """The outcome that a test expects; None: any."""

    kept: ExpectedAt = ExpectedAt()
    at: Mapping[str, ExpectedAt] = field(default_factory=dict)
    destinations: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    coercions: frozenset[str] | None = None
    status: int | None = None
    is_unmatched: bool | None = None
    is_held: bool | None = None
    is_admitted: bool = True


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test."""

    name: str
    place: Place = field(repr=False, compare=False)
    association: Mapping[str, Any]
    """Fields of `AssociationFacts` that the test gives."""
    expected: ExpectedOutcome
    file: Path | None = None
    attributes: Mapping[str, object] | None = None
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN
    received_at: datetime | None = None

    def mark(self, *path: str | int) -> Mark:
        """The place of a setting in its file."""
        return self.place.at(*path).mark


@dataclass(frozen=True, slots=True)
class RuleTests:
    """One file of tests."""

    path: Path
    cases: tuple[RuleTest, ...]
    environment: Mapping[str, str]
    problems: tuple[Problem, ...]


def files_of(rules: Path) -> list[Path]:
    """The test files that go with `rules`: of a folder all below it, of a rules file those beside it, else itself."""
    if rules.name.endswith(SUFFIX):
        return [rules]
    folder = rules if rules.is_dir() else rules.parent
    found = folder.rglob(f"*{SUFFIX}") if rules.is_dir() else folder.glob(f"*{SUFFIX}")
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def read_cases(path: Path) -> RuleTests:
    """The tests of one file. Never raises for what the file holds."""
    findings = Findings()
    spec, place = _read(path, findings)
    if spec is None:
        return RuleTests(path, (), {}, findings.sorted())
    context = Context(findings, path.parent, is_complete=True)
    names: dict[str, Mark] = {}
    cases: list[RuleTest] = []
    for index, one in enumerate(spec.tests):
        here = place.at("tests", index)
        at = here.at("name")
        if one.name in names:
            first = names[one.name]
            context.error(
                at, "duplicate-name", f"{at.shown} is named twice; the first is at {first.line}:{first.column}"
            )
        names.setdefault(one.name, at.mark)
        cases.append(_case(one, spec.association, here, path.parent, context))
    return RuleTests(path, tuple(cases), dict(spec.environment), findings.sorted())


def _read(path: Path, findings: Findings) -> tuple[CasesSpec | None, Place]:
    start = Mark(str(path), 1, 1)
    nothing = Place(BrokenNode(start), start)
    try:
        content = read_regular_file(path, FILE_LIMIT_BYTES)
    except OSError as error:
        findings.error(start, "unreadable-file", f"cannot read it: {error.strerror}")
        return None, nothing
    node = parse(content, path, str(path), {}, findings)
    if node is None:
        findings.error(start, "empty", "the file holds no tests")
        return None, nothing
    if isinstance(node, BrokenNode):
        return None, nothing
    if not isinstance(node, MappingNode):
        findings.error(node.mark, "wrong-type", "a test file holds `tests:`, a list of tests")
        return None, nothing
    return check(Place(node, node.mark), CasesSpec, findings)


def _case(spec: CaseSpec, sender: SenderSpec, place: Place, folder: Path, context: Context) -> RuleTest:
    has_file, has_attributes = spec.file is not None, spec.attributes is not None
    if has_file and has_attributes:
        context.error(place.at("attributes"), "two-objects", faults.not_both("a test", "file", "attributes").message)
    lost = place.node.lost if isinstance(place.node, MappingNode) else frozenset()
    is_suggested = any(did_you_mean(name, ("file", "attributes")) for name in lost)
    if not has_file and not has_attributes and not is_suggested:
        context.findings.error(place.holder, "no-object", "a test needs an object: `file` or `attributes`")
    if has_file and spec.transfer_syntax is not None:
        at = place.at("transfer_syntax")
        context.error(at, "without-effect", "a file says itself in which transfer syntax it is")
    return RuleTest(
        name=spec.name,
        place=place,
        association=_association(spec.association, sender),
        expected=_expected(spec.expect, place.at("expect"), context),
        file=folder / spec.file if isinstance(spec.file, str) else None,
        attributes=_plain(place.at("attributes")) if has_attributes else None,
        transfer_syntax_uid=_syntax(spec, place, context) or EXPLICIT_VR_LITTLE_ENDIAN,
        received_at=_moment(spec, place, context),
    )


def _association(own: SenderSpec, shared: SenderSpec) -> dict[str, Any]:
    given: dict[str, Any] = {"calling_ae_title": CALLING_AE_TITLE, "remote_host": "127.0.0.1"}
    for spec in (shared, own):
        given |= {name: value for name in settings(SenderSpec) if (value := getattr(spec, name)) is not None}
    return given


def association_facts(given: Mapping[str, Any], called_ae_title: str, listener: str) -> AssociationFacts:
    """The facts of a test's association; what it does not give is the gateway's."""
    return AssociationFacts(**{"called_ae_title": called_ae_title, "listener": listener, **given})


def _plain(place: Place) -> dict[str, object]:
    value = lossless(place.node)
    assert isinstance(value, dict)
    return dict(value)


def _syntax(spec: CaseSpec | ExpectedAtSpec, place: Place, context: Context) -> str:
    if not isinstance(spec.transfer_syntax, str):
        return ""
    at = place.at("transfer_syntax")
    try:
        return transfer_syntax_uid(spec.transfer_syntax)
    except ValueError as error:
        context.error(at, "unknown-transfer-syntax", without_secrets(str(error), at))
        return ""


def _moment(spec: CaseSpec, place: Place, context: Context) -> datetime | None:
    if not isinstance(spec.received_at, str):
        return None
    try:
        return datetime.fromisoformat(spec.received_at)
    except ValueError:
        at = place.at("received_at")
        context.error(at, "bad-format", f"{at.shown} is no date and time")
        return None


def _expected(spec: ExpectedSpec, place: Place, context: Context) -> ExpectedOutcome:
    if not isinstance(place.node, MappingNode) or not (place.node.entries or place.node.lost):
        context.findings.error(place.holder, "empty", "nothing is expected: the test could not fail")
    at = {name: _at(one, place.at("at", name), context) for name, one in spec.at.items()}
    kept = ExpectedAt(_values(spec.values, place, context), _paths(spec.absent, place.at("absent"), context))

    def names(words: object) -> frozenset[str] | None:
        return frozenset(words) if isinstance(words, tuple) else None

    return ExpectedOutcome(
        kept=kept,
        at=at,
        destinations=names(spec.destinations),
        rules=names(spec.rules),
        coercions=names(spec.coercions),
        status=int(spec.status, 16) if isinstance(spec.status, str) else None,
        is_unmatched=spec.unmatched if isinstance(spec.unmatched, bool) else None,
        is_held=spec.held if isinstance(spec.held, bool) else None,
        is_admitted=spec.admitted is not False,
    )


def _at(spec: ExpectedAtSpec, place: Place, context: Context) -> ExpectedAt:
    return ExpectedAt(
        values=_values(spec.values, place, context),
        absent=_paths(spec.absent, place.at("absent"), context),
        transfer_syntax_uid=_syntax(spec, place, context),
        is_refused=spec.refused if isinstance(spec.refused, bool) else None,
    )


def _values(values: object, place: Place, context: Context) -> dict[AttributePath, tuple[str, ...]]:
    found: dict[AttributePath, tuple[str, ...]] = {}
    at = place.child("values")
    if not isinstance(values, Mapping) or at is None or not isinstance(at.node, MappingNode):
        return found
    for key in at.node.entries:
        here = at.at(key)
        path = _path(key, here.holder, context)
        texts = _texts(lossless(here.node))
        if texts is None:
            context.error(here, "wrong-type", f"expected a text, a number, or a list of them, found {here.shown}")
        elif path is not None:
            found[path] = texts
    return found


def _paths(words: tuple[str, ...], place: Place, context: Context) -> tuple[AttributePath, ...]:
    paths = (_path(word, place.at(index).mark, context) for index, word in enumerate(words))
    return tuple(path for path in paths if path is not None)


def _path(word: str, mark: Mark, context: Context) -> AttributePath | None:
    try:
        return attribute(word)
    except ValueError as error:
        context.findings.error(mark, "unknown-attribute", str(error))
        return None


def _texts(value: Plain) -> tuple[str, ...] | None:
    """As `Facts.values` gives them: () for no value, several split at backslashes."""
    if value is None or value == "":
        return ()
    several = value if isinstance(value, list) else [value]
    if any(one is None or isinstance(one, bool | dict | list) for one in several):
        return None
    return tuple(str(one) for one in several)
