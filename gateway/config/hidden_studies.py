"""The list `hide` of the section `query_retrieve` → `VisibilityRule`s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config.compile_context import Context
from gateway.config.destination_names import Names, recipients
from gateway.config.rule_names import check_name
from gateway.config.spec.query_retrieve import HideSpec
from gateway.config.tree import Place
from gateway.config.when import predicate_of
from gateway.dataset.dictionary import name_of
from gateway.model.problem import Mark
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Predicate
from gateway.query.attributes import is_of_study
from gateway.routing.language.kind_tree import children
from gateway.routing.language.kinds import name_of_kind
from gateway.routing.visibility_rules import VisibilityRule


def compile_hide(specs: Sequence[HideSpec], place: Place, names: Names, context: Context) -> tuple[VisibilityRule, ...]:
    """Studies that are hidden: `specs`, which stand at `place`."""
    rules: list[VisibilityRule] = []
    taken: dict[str, Mark] = {}
    for index, (spec, at) in enumerate(zip(specs, place.items, strict=True)):
        name = f"hide-{index + 1}" if spec.name is None else spec.name
        check_name(name, at, taken, context)
        peers = () if spec.from_ is None else recipients(spec.from_, at.at("from"), names, context)
        when = predicate_of(at, context)
        if when is None or not _is_about_studies(when, at, context):
            continue
        if spec.enabled and (peers or spec.from_ is None):
            rules.append(VisibilityRule(name, when, peers, at.mark))
    return tuple(rules)


def _is_about_studies(when: Predicate, place: Place, context: Context) -> bool:
    """False after reporting a condition that no answer about a study can decide."""
    shipped = port_kinds.predicate.packages.keys().isdisjoint
    for one in _predicates_in(when):
        if getattr(type(one), "is_about_studies", False) is not True:
            name = name_of_kind(one, port_kinds.predicate)
            near = getattr(type(one), "instead_for_studies", "")
            message = f"`{name}` is about one object; what is hidden are studies{near}"
            if not shipped([type(one)]):
                message = (
                    f"`{name}` of another package does not say that it can decide about studies (`is_about_studies`)"
                )
            context.error(place.at("when"), "not-of-studies", message)
            return False
    unknown = [path for path in when.attributes() if not is_of_study(path)]
    for path in dict.fromkeys(path.text or name_of(path.tag) for path in unknown):
        message = f"{path} is not known of studies, so that nothing can be hidden by it"
        context.error(place.at("when"), "not-of-studies", message)
    return not unknown


def _predicates_in(condition: Predicate) -> Iterator[Predicate]:
    yield condition
    for _, inner in children(condition):
        yield from _predicates_in(inner)
