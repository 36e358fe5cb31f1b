"""The section `collections:` → `CollectionDefinition`s."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.common import setting_faults as faults
from gateway.common.quantity import duration_s
from gateway.config.compile_context import Context
from gateway.config.parties import Parties
from gateway.config.spec.collections import CollectionExpectSpec, CollectionSpec, CollectionWhenSpec
from gateway.config.top_level import named
from gateway.config.tree import Place, lossless
from gateway.config.typed_tree import check
from gateway.config.when import condition_at
from gateway.model.collection import CollectionLevel, CollectionTerms, CollectionTest
from gateway.model.expectation import ExpectedKind, ExpectedTerms
from gateway.model.settings import UnmatchedPolicy
from gateway.ports.kinds import Predicate
from gateway.routing.ae_title_templates import has_templates
from gateway.routing.collecting import NUMBER, CollectionDefinition
from gateway.routing.language.template import Template
from gateway.routing.route import Route

SHORTEST_S = 1.0
LATEST_S = 366 * 86400.0
LONGEST_QUESTION_S = 3600.0


def compile_collections(
    root: Place, parties: Parties, unmatched: UnmatchedPolicy | None, context: Context
) -> dict[str, CollectionDefinition]:
    """The definitions by name; problems are reported."""
    found: dict[str, CollectionDefinition] = {}
    for name, place in named(root, "collections", context):
        spec, at = check(place, CollectionSpec, context.findings)
        if spec is None:
            continue
        _check_times(spec, at, context)
        tests, conditions = _when(spec.when, at, context)
        expect, expected = _expect(spec, at, parties, context)
        terms = CollectionTerms(
            name,
            spec.level,
            duration_s(spec.quiet),
            duration_s(spec.at_most),
            spec.late,
            duration_s(spec.late_for),
            spec.again,
            spec.if_incomplete,
            tuple(tests),
            expect,
            is_unmatched_held=unmatched != "discard",
        )
        found[name] = CollectionDefinition(terms, tuple(conditions), expected)
    return found


def _check_times(spec: CollectionSpec, place: Place, context: Context) -> None:
    quiet_s = duration_s(spec.quiet)
    for name in ("quiet", "at_most", "late_for"):
        at = place.at(name)
        seconds = duration_s(getattr(spec, name))
        if name == "quiet" and seconds < SHORTEST_S:
            context.fault(at, faults.out_of_range("at least 1 s: a sender pauses between two objects", at.shown))
        elif name == "at_most" and seconds < quiet_s:
            message = f"at least `quiet`, {spec.quiet}: it could never be quiet"
            context.fault(at, faults.out_of_range(message, at.shown))
        elif seconds > LATEST_S:
            context.fault(at, faults.out_of_range("at most a year", at.shown))


def _expect(
    spec: CollectionSpec, place: Place, parties: Parties, context: Context
) -> tuple[ExpectedTerms | None, Template | None]:
    """The terms of what is expected, and the template of a number that objects say."""
    expect = spec.expect
    if expect is None:
        return None, None
    at = place.at("expect")
    ways = [name for name in ("from", "instances", "series") if at.has(name)]
    if len(ways) != 1:
        if ways:
            context.fault_of_key(at, faults.out_of_range("one of `from`, `instances` and `series`", ", ".join(ways)))
        elif not at.lost:
            context.fault_of_key(at, faults.missing_setting("from`, `instances` or `series"))
        return None, None
    if expect.from_ is not None:
        return _queried(spec, expect, expect.from_, at, parties, context), None
    for name in ("every", "timeout"):
        if at.has(name):
            context.findings.warning(at.at(name).holder, "no-effect", f"`{name}` means nothing without `from`")
    return _number(expect, at.at(ways[0]), spec.level, context)


def _queried(
    spec: CollectionSpec, expect: CollectionExpectSpec, name: str, at: Place, parties: Parties, context: Context
) -> ExpectedTerms | None:
    """Those that ask a source."""
    source, every_s, timeout_s = at.at("from"), duration_s(expect.every), duration_s(expect.timeout)
    for setting, seconds in (("every", every_s), ("timeout", timeout_s)):
        if not SHORTEST_S <= seconds <= LONGEST_QUESTION_S:
            context.fault(at.at(setting), faults.out_of_range("from 1 s to 1 h", at.at(setting).shown))
    if duration_s(spec.at_most) < duration_s(spec.quiet) + every_s:
        message = "less than `at_most` after `quiet`: it is asked twice"
        context.fault(at.at("every"), faults.out_of_range(message, f"`{expect.every}`"))
    peer = parties.peers.get(name)
    if name not in parties.names.peers:
        if context.is_complete:
            message = faults.no_such_name("peer", source.shown, name, parties.names.peers)
            context.error(source, "unknown-source", message)
    elif peer is not None and not peer.host:
        context.error(source, "not-a-source", f"{source.shown} has no `address`: it cannot be asked")
    elif peer is not None and has_templates(peer):
        message = f"{source.shown} has an AE title for each requestor, and here there is none"
        context.error(source, "not-a-source", message)
    return ExpectedTerms(name, every_s, timeout_s)


def _number(
    expect: CollectionExpectSpec, at: Place, level: CollectionLevel, context: Context
) -> tuple[ExpectedTerms | None, Template | None]:
    """Those that count."""
    kind: ExpectedKind = "instances" if expect.series is None else "series"
    text = str(expect.instances if expect.series is None else expect.series).strip()
    if kind == "series" and level == "series":
        context.fault(at, faults.out_of_range("`instances`: a collection of one series has one", at.shown))
    if NUMBER.fullmatch(text) and int(text):
        return ExpectedTerms(kind=kind, number=int(text)), None
    if "{{" not in text:
        context.fault(at, faults.out_of_range("a number from 1 to 9999999, or a template", at.shown))
        return None, None
    try:
        return ExpectedTerms(kind=kind), Template(text, context.resources_at(at))
    except ValueError as error:
        context.error(at, "bad-template", str(error))
        return None, None


def _when(
    spec: CollectionWhenSpec | None, place: Place, context: Context
) -> tuple[list[CollectionTest], list[Predicate]]:
    """The tests over a collection, and the condition of each."""
    tests: list[CollectionTest] = []
    conditions: list[Predicate] = []

    def add(test: CollectionTest, at: Place) -> None:
        condition = _condition(at, context)
        if condition is not None:
            tests.append(test)
            conditions.append(condition)

    if spec is None:
        return tests, conditions
    when = place.at("when")
    if when.has("any"):
        add(CollectionTest("any"), when.at("any"))
    if when.has("every"):
        add(CollectionTest("every"), when.at("every"))
    for index, count in enumerate(spec.count):
        at = when.at("count", index)
        if count.at_most is not None and count.at_most < count.at_least:
            message = f"at least `at_least`, {count.at_least}: it could never hold"
            context.fault(at.at("at_most"), faults.out_of_range(message, at.at("at_most").shown))
        add(CollectionTest("count", count.at_least, count.at_most), at.at("of"))
    if not any(when.has(name) for name in ("any", "every", "count")) and not when.lost:
        context.fault_of_key(when, faults.missing_setting("any`, `every` or `count"))
    return tests, conditions


def _condition(place: Place, context: Context) -> Predicate | None:
    config = lossless(place.node)
    if config is None:
        context.fault_of_key(place, faults.wrong_type("a condition", "nothing", "; leave it out to mean always"))
        return None
    return condition_at(place, config, context)


def collection_of(
    name: str | None, place: Place, known: Mapping[str, CollectionDefinition], context: Context
) -> CollectionDefinition | None:
    """The definition that a route names; None without one, and after reporting that there is none of this name."""
    if name is None:
        return None
    if name not in known and context.is_complete and name not in place.lost:
        message = faults.no_such_name("collection", place.at("collection").shown, name, known)
        context.error(place.at("collection"), "unknown-collection", message)
    return known.get(name)


def warn_of_unused_collections(
    root: Place, known: Mapping[str, CollectionDefinition], routes: tuple[Route, ...], context: Context
) -> None:
    """Report definitions that no route names."""
    used = {route.collection.terms.name for route in routes if route.collection is not None}
    for name in known:
        if name not in used:
            message = f"no route names the collection `{name}`"
            context.findings.warning(root.at("collections", name).holder, "unused-collection", message)
