"""The section `groups:`: several peers under one name, of which each or one gets an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.common import setting_faults as faults
from gateway.common.quantity import duration_s
from gateway.config.compile_context import Context
from gateway.config.destination_names import Names, again, check_destination, expand, names_of
from gateway.config.section import names_in
from gateway.config.spec.peers import GroupSpec
from gateway.config.top_level import named
from gateway.config.tree import Place
from gateway.config.typed_tree import check
from gateway.model.peer import Peer, PeerGroup

ONE_KIND = "; each of its members gets the object, or the first that is up"
SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class _Written:
    """A group as it is written."""

    spec: GroupSpec
    place: Place

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.spec.failover or self.spec.all or ())

    @property
    def words_at(self) -> Place:
        return self.place.at("all" if self.spec.failover is None else "failover")


def compile_groups(
    root: Place, peers: Mapping[str, Peer], not_destinations: Iterable[str], context: Context
) -> dict[str, PeerGroup]:
    """Groups with at least one enabled peer, by name; problems are reported."""
    written_peers = names_in(root, "peers")
    written: dict[str, _Written] = {}
    for name, place in named(root, "groups", context):
        if name in written_peers:
            message = f"`{name}` is the name of a peer already, at {root.at('peers', name).holder}"
            context.findings.error(place.holder, "duplicate-name", message)
        spec, at = check(place, GroupSpec, context.findings)
        if spec is not None and _has_one_kind(spec, at, context):
            written[name] = _Written(spec, at)
    written_groups = set(names_in(root, "groups")) - set(written_peers)

    def names(groups: Mapping[str, PeerGroup]) -> Names:
        return names_of(peers, groups, written_peers, written_groups, not_destinations)

    compiling = _Compiling({name: each for name, each in written.items() if name in written_groups}, names, context)
    for name in compiling.written:
        compiling.compile(name)
    return {name: compiling.groups[name] for name in compiling.written if compiling.groups[name].members}


def _has_one_kind(spec: GroupSpec, place: Place, context: Context) -> bool:
    if spec.all is not None and spec.failover is not None:
        context.fault_of_key(place.at("failover"), faults.not_both("a group", "all", "failover", ONE_KIND))
    if spec.all is None and spec.failover is None:
        if not {"all", "failover"} & place.lost and not any(place.has(name) for name in GroupSpec.not_yet):
            context.fault_of_key(place, faults.missing_setting("all` or `failover"))
        return False
    if spec.failover is None:
        for name in ("after", "back"):
            if place.has(name):
                message = f"`{name}` means nothing for a group without `failover`; leave it out"
                context.findings.warning(place.at(name).holder, "no-effect", message)
    elif duration_s(spec.after) < SHORTEST_S:
        at = place.at("after")
        context.fault(at, faults.out_of_range("at least 1 s, since a peer may be away for a moment", at.shown))
    return True


class _Compiling:
    """Members first."""

    def __init__(
        self, written: Mapping[str, _Written], names: Callable[[Mapping[str, PeerGroup]], Names], context: Context
    ) -> None:
        self.groups: dict[str, PeerGroup] = {}
        self.written = written
        self._names = names
        self._context = context

    def compile(self, name: str, around: tuple[str, ...] = ()) -> None:
        """`around`: the groups that hold it, outermost first."""
        if name in self.groups:
            return
        group, around = self.written[name], (*around, name)
        for index, word in enumerate(group.words):
            if word not in self.written:
                continue
            if word in around:
                ring = " → ".join((*around[around.index(word) :], word))
                self._context.error(group.words_at.at(index), "cyclic-groups", f"a group that holds itself: {ring}")
            else:
                self.compile(word, around)
        names = self._names(self.groups)
        if group.spec.failover is None:
            self.groups[name] = PeerGroup(name, expand(group.words, group.words_at, names, self._context))
            return
        members, is_moved_back = self._in_order(group, names), group.spec.back == "when up"
        self.groups[name] = PeerGroup(name, members, "failover", duration_s(group.spec.after), is_moved_back)

    def _in_order(self, group: _Written, names: Names) -> tuple[str, ...]:
        """The peers of a failover group."""
        members: dict[str, str] = {}
        for index, word in enumerate(group.words):
            at = group.words_at.at(index)
            check_destination(word, at, names, self._context)
            inner = self.groups.get(word)
            if inner is not None and not inner.is_choosing:
                message = f"{at.shown} sends to each of its members, and one of a failover group gets the object"
                self._context.error(at, "nested-group", message)
                continue
            for member in names.members.get(word, ()) if inner is None else inner.members:
                if member in members:
                    self._context.error(at, "duplicate-member", again(member, word, members[member]))
                members.setdefault(member, word)
        return tuple(members)
