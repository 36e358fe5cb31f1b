"""Routes that ask for what their destination's `contexts` cannot take. Warnings: no such object need ever come up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary

from gateway.config.compile_context import Context
from gateway.config.tree import Place
from gateway.dataset.codecs import short_name
from gateway.dataset.native import alternatives
from gateway.model.peer import Peer
from gateway.model.problem import SettingPath
from gateway.ports.kinds import Predicate
from gateway.routing.language.sop_groups import is_composite
from gateway.routing.predicates.combining import AllConditions, NamedConditionHolds
from gateway.routing.predicates.instance import SOPClass, TransferSyntax
from gateway.routing.table import Route


@dataclass(frozen=True, slots=True)
class _RouteNeeds:
    """The objects that fit a route: any of these classes, and any of these transfer syntaxes."""

    classes: Sequence[frozenset[str]]
    """A set for each word, which may be a group's; empty when the route asks for none."""
    classes_at: SettingPath
    transfer_syntaxes: Sequence[str]
    transfer_syntaxes_at: SettingPath


def warn_of_unsendable(root: Place, routes: Iterable[Route], peers: Mapping[str, Peer], context: Context) -> None:
    """`peers` are the enabled ones."""
    given = {name: _kinds(peer) for name, peer in peers.items() if peer.host and peer.associate.contexts}
    if not given:
        return
    without_storage = {name for name, kinds in given.items() if not any(map(_may_be_storage, kinds))}
    reached: set[str] = set()
    for route in routes:
        to = [*route.to, *(member for group in route.groups for member in group.members)]
        reached.update(to)
        names = [name for name in dict.fromkeys(to) if name in given and name not in without_storage]
        needs = _needs_of(route.when) if names else None
        for name in names if needs is not None else ():
            assert needs is not None
            stays = {
                "is_as_it_is": not _is_converted(route),
                "is_of_its_class": "SOPClassUID" not in route.actions_json,
            }
            for path, message in _unsendable(needs, given[name], peers[name], **stays):
                mark = route.marks.get(path) or route.mark or root.holder
                text = f"the route `{route.name}` can send `{name}` {message}; the object would be refused"
                context.findings.warning(mark, "not-in-contexts", text)
    for name in sorted(without_storage & reached):
        message = f"`contexts` lists no storage SOP class, and routes send to `{name}`: every object would be refused"
        context.findings.warning(root.at("peers", name, "associate", "contexts").holder, "not-in-contexts", message)


def _kinds(peer: Peer) -> dict[str, set[str]]:
    """SOP class → the transfer syntaxes that the contexts list for it."""
    found: dict[str, set[str]] = {}
    for one in peer.associate.contexts:
        found.setdefault(one.abstract_syntax, set()).update(one.transfer_syntaxes)
    return found


def _may_be_storage(uid: str) -> bool:
    """True for storage SOP classes, and for private ones, of which nobody knows."""
    entry = UID_dictionary.get(uid)
    return entry is None or ("Storage" in entry[0] and is_composite(uid))


def _needs_of(when: Predicate) -> _RouteNeeds | None:
    """None when the condition asks for neither in words that must hold."""
    classes: SOPClass | None = None
    syntaxes: TransferSyntax | None = None
    classes_at: SettingPath = ()
    syntaxes_at: SettingPath = ()
    for path, one in _conjuncts(when, ()):
        if isinstance(one, SOPClass) and classes is None:
            classes, classes_at = one, (*path, "sop_class")
        elif isinstance(one, TransferSyntax) and syntaxes is None:
            syntaxes, syntaxes_at = one, (*path, "transfer_syntax")
    if classes is None and syntaxes is None:
        return None
    return _RouteNeeds(classes.any_of if classes else (), classes_at, syntaxes.any_of if syntaxes else (), syntaxes_at)


def _conjuncts(when: Predicate, path: SettingPath) -> Iterator[tuple[SettingPath, Predicate]]:
    """The conditions that must all hold, each with its place."""
    if isinstance(when, AllConditions):
        for index, one in enumerate(when.conditions):
            yield from _conjuncts(one, (*path, "all", index))
    elif isinstance(when, NamedConditionHolds):
        for _path, one in _conjuncts(when.named.predicate, ()):
            yield (*path, "condition"), one
    else:
        yield path, when


def _unsendable(
    needs: _RouteNeeds, listed: Mapping[str, set[str]], peer: Peer, *, is_as_it_is: bool, is_of_its_class: bool
) -> Iterator[tuple[SettingPath, str]]:
    for words in needs.classes if is_of_its_class else ():
        if words.isdisjoint(listed):
            what = short_name(next(iter(words))) if len(words) == 1 else "SOP classes of a group"
            has = ", ".join(map(short_name, listed))
            yield needs.classes_at, f"{what}, which its `contexts` do not list (they list {has})"
    if not is_as_it_is:
        return
    classes = frozenset[str]().union(*needs.classes) & listed.keys() if needs.classes else listed.keys()
    takes = {syntax for uid in classes for syntax in listed[uid]}
    for uid in needs.transfer_syntaxes if classes else ():
        if takes.isdisjoint((*alternatives(uid), *peer.fallback)):
            has = ", ".join(map(short_name, sorted(takes)))
            yield needs.transfer_syntaxes_at, f"{short_name(uid)}, which its `contexts` do not list (they list {has})"


def _is_converted(route: Route) -> bool:
    """True when an action may send the object in another transfer syntax."""
    return any(hasattr(action, "convert") for action in route.actions)
