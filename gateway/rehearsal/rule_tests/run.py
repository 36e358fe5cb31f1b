"""Runs tests of rules: each object goes the real way, without network and disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import load
from gateway.config.cases import SUFFIX, ExpectedAt, RuleTest, association_facts, files_of, read_cases
from gateway.dataset.part10 import read_dicom_file
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.problem import Problem
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, Refusal
from gateway.rehearsal import stage as rehearsal
from gateway.rehearsal.rule_tests.compose import SOP_CLASS_UID, SOP_INSTANCE_UID, Uncomposable, compose
from gateway.rehearsal.rule_tests.result import Failure, FileResult, RuleTestResult
from gateway.rehearsal.stage import RehearsedResponse, RehearsedStore, Stage, read_facts, staged
from gateway.routing.table import RoutingTable
from gateway.sending.contexts import named

IDENTIFIERS = (AttributePath(SOP_CLASS_UID), AttributePath(SOP_INSTANCE_UID))


class RulesUnusable(Exception):
    """The rules that are to be tested have errors."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("the configuration has errors")
        self.problems = problems


async def run(
    rules: Path,
    environ: Mapping[str, str],
    *,
    keyword: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock_s: Callable[[], float] = time.perf_counter,
) -> list[FileResult]:
    """Run the tests that go with `rules`; with `keyword` those whose file or name holds it, whatever the case.

    Raises:
        RulesUnusable: the rules have errors with the variables of a test file.
    """
    results: list[FileResult] = []
    for path in files_of(rules):
        cases = read_cases(path)
        if any(problem.severity == "error" for problem in cases.problems):
            results.append(FileResult(path, cases.problems, ()))
            continue
        table = _table(rules.parent if rules.name.endswith(SUFFIX) else rules, {**environ, **cases.environment})
        chosen = [case for case in cases.cases if keyword.casefold() in f"{path.name}::{case.name}".casefold()]
        done: list[RuleTestResult] = []
        async with staged(table) as stage:
            for case in chosen:
                begun_s = clock_s()
                failures = tuple(await failures_of(stage, case, now()))
                done.append(RuleTestResult(case.name, case.place.mark, failures, clock_s() - begun_s))
        results.append(FileResult(path, cases.problems, tuple(done), len(cases.cases) - len(chosen)))
    return results


def _table(rules: Path, environ: Mapping[str, str]) -> RoutingTable:
    loaded = load(rules, environ)
    if loaded.table is None:
        raise RulesUnusable(loaded.problems)
    return loaded.table


async def failures_of(stage: Stage, case: RuleTest, now: datetime) -> list[Failure]:
    """Run one test; every expectation that does not hold."""
    try:
        sent = _sent(case)
    except Uncomposable as error:
        mark = case.mark("attributes", *error.path)
        return [Failure("the object", "attributes that can be encoded", str(error), mark)]
    except (GatewayError, OSError) as error:
        return [Failure("the object", "a DICOM file", str(error), case.mark("file"))]
    try:
        trial = _Trial(stage, case, sent, case.received_at or now)
        return await _failures(trial)
    finally:
        sent.body.close()


def _sent(case: RuleTest) -> RehearsedStore:
    if case.file is not None:
        file = read_dicom_file(case.file)
        return RehearsedStore(file.sop_class_uid, file.sop_instance_uid, file.transfer_syntax_uid, file.open())
    data = memoryview(compose(case.attributes or {}, case.transfer_syntax_uid))
    found = scan(data, case.transfer_syntax_uid, wanted(IDENTIFIERS))
    sop_class, sop_instance = (next(iter(found.values(path) or ()), "") for path in IDENTIFIERS)
    return RehearsedStore(sop_class, sop_instance, case.transfer_syntax_uid, MemoryDataSet(data))


@dataclass(frozen=True, slots=True)
class _Trial:
    """One object under test."""

    stage: Stage
    case: RuleTest
    sent: RehearsedStore
    received_at: datetime

    def failure(self, what: str, expected: object, found: object, *path: str | int, quotes: bool = False) -> Failure:
        mark = self.case.mark("expect", *path)
        return Failure(what, str(expected), str(found), mark, is_from_file=quotes and self.case.file is not None)


async def _failures(trial: _Trial) -> list[Failure]:
    table, case, expected = trial.stage.table, trial.case, trial.case.expected
    listener = table.settings.listeners[0].name
    facts = association_facts(case.association, table.settings.ae_title, listener)
    admission = rehearsal.admission(table, facts, trial.sent)
    if admission.is_admitted is not expected.is_admitted:
        wanted_text = "admitted" if expected.is_admitted else "not admitted"
        return [trial.failure("the association", wanted_text, admission.text, "admitted")]
    if not admission.is_admitted:
        return []
    stored = await rehearsal.store(table, admission.association, trial.sent, trial.received_at)
    found = [*_fate(trial, stored), *_rules(trial, admission.association), *_kept(trial, stored)]
    for destination, one in expected.at.items():
        found += await _at(trial, stored, destination, one)
    return found


def _fate(trial: _Trial, stored: RehearsedResponse) -> Iterator[Failure]:
    """Status, destinations, and whether it is held or unmatched."""
    expected = trial.case.expected
    comment = f" ({stored.error_comment})" if stored.error_comment else ""
    if expected.status is not None and stored.status != expected.status:
        found = f"0x{stored.status:04X}{comment}"
        yield trial.failure("status", f"0x{expected.status:04X}", found, "status", quotes=bool(comment))
    destinations = {dispatch.destination for dispatch in stored.dispatches if dispatch.state is DeliveryState.PENDING}
    if expected.destinations is not None and destinations != expected.destinations:
        refused = f" (status 0x{stored.status:04X})" if stored.status else ""
        found = f"{_listed(destinations)}{refused}"
        yield trial.failure("destinations", _listed(expected.destinations), found, "destinations")
    if expected.is_unmatched is not None and stored.is_unmatched is not expected.is_unmatched:
        yield trial.failure("unmatched", _yes_no(expected.is_unmatched), _yes_no(stored.is_unmatched), "unmatched")
    is_held = any(dispatch.state is DeliveryState.HELD for dispatch in stored.dispatches)
    if expected.is_held is not None and is_held is not expected.is_held:
        yield trial.failure("held", _yes_no(expected.is_held), _yes_no(is_held), "held")


def _rules(trial: _Trial, association: AssociationFacts) -> Iterator[Failure]:
    """The failures of the expected routes and coercions."""
    expected, sent = trial.case.expected, trial.sent
    if expected.rules is None and expected.coercions is None:
        return
    try:
        facts = read_facts(trial.stage, association, sent, trial.received_at)
    except Refusal as refusal:
        yield trial.failure("the object", "a data set that can be read", refusal, "rules", quotes=True)
        return
    explained = trial.stage.table.explain(facts)
    for what, names, verdicts in (
        ("rules", expected.rules, explained.routes),
        ("coercions", expected.coercions, explained.coercions),
    ):
        applied = {verdict.name for verdict in verdicts if verdict.is_applied}
        if names is not None and applied != names:
            yield trial.failure(what, _listed(names), _listed(applied), what)


def _kept(trial: _Trial, stored: RehearsedResponse) -> Iterator[Failure]:
    """The object after the coercions."""
    expected = trial.case.expected.kept
    if not expected.values and not expected.absent:
        return
    if stored.body is None or stored.instance is None:
        path = "values" if expected.values else "absent"
        yield trial.failure(path, "an object that is kept", f"nothing is kept (status 0x{stored.status:04X})", path)
        return
    yield from _values(trial, expected, stored.body, stored.instance.transfer_syntax_uid, (), "")


async def _at(trial: _Trial, stored: RehearsedResponse, destination: str, expected: ExpectedAt) -> list[Failure]:
    """The failures of the object as `destination` gets it. When several dispatches go there, one that is as expected is
    enough.
    """
    dispatches = [dispatch for dispatch in stored.dispatches if dispatch.destination == destination]
    if not dispatches or stored.instance is None or stored.body is None:
        everywhere = _listed({dispatch.destination for dispatch in stored.dispatches if dispatch.destination})
        found = f"it goes to {everywhere}"
        return [trial.failure(f"at {destination}", "the object", found, "at", destination)]
    attempts = [await _on_dispatch(trial, stored, dispatch, expected) for dispatch in dispatches]
    return min(attempts, key=len)


async def _on_dispatch(
    trial: _Trial, stored: RehearsedResponse, dispatch: Dispatch, expected: ExpectedAt
) -> list[Failure]:
    assert stored.instance is not None
    assert stored.body is not None
    path = ("at", dispatch.destination)
    where = f" at {dispatch.destination}"
    try:
        outbound = await rehearsal.leave(trial.stage, stored.instance, stored.body, dispatch)
    except GatewayError as error:
        if expected.is_refused:
            return []
        return [trial.failure(f"sent{where}", "an object", f"cannot be done: {error}", *path, quotes=True)]
    try:
        found = list(_values(trial, expected, outbound.body, outbound.transfer_syntax_uid, path, where))
        if expected.is_refused:
            found.append(trial.failure(f"refused{where}", "yes", "no", *path, "refused"))
        syntax = expected.transfer_syntax_uid
        if syntax and outbound.transfer_syntax_uid != syntax:
            found_syntax = named(outbound.transfer_syntax_uid)
            found.append(
                trial.failure(f"transfer syntax{where}", named(syntax), found_syntax, *path, "transfer_syntax")
            )
        return found
    finally:
        outbound.body.close()


def _values(
    trial: _Trial, expected: ExpectedAt, body: EncodedDataSet, syntax: str, path: tuple[str, ...], where: str
) -> Iterator[Failure]:
    scanned = scan(body.view(), syntax, wanted(tuple(dict.fromkeys((*expected.values, *expected.absent)))))
    for attribute, texts in expected.values.items():
        found = scanned.values(attribute)
        if found != texts:
            what, found_text = f"{attribute.text}{where}", _shown(found)
            yield trial.failure(what, _shown(texts), found_text, *path, "values", attribute.text, quotes=True)
    for index, attribute in enumerate(expected.absent):
        found = scanned.values(attribute)
        if found is not None:
            found_text = _shown(found)
            yield trial.failure(f"{attribute.text}{where}", "absent", found_text, *path, "absent", index, quotes=True)


def _shown(texts: tuple[str, ...] | None) -> str:
    if texts is None:
        return "absent"
    return "empty" if not texts else repr("\\".join(texts))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _yes_no(is_so: bool) -> str:
    return "yes" if is_so else "no"
