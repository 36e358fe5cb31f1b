"""The section `groups:`: several peers under one name, of which each or one gets an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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

GroupKind = Literal["all", "failover", "balance"]
KINDS: tuple[GroupKind, ...] = ("all", "failover", "balance")
ONE_KIND = "; each of its members gets the object, or the first that is up, or one in turn"
SHORTEST_S = 1.0
OF_KINDS = {
    "after": ("failover", "balance"),
    "back": ("failover",),
    "after_doubt": ("failover",),
    "by": ("balance",),
    "choose": ("balance",),
    "remember": ("balance",),
}
"""Setting → the kinds of groups for which it means something."""
DOES = {
    "all": "sends to each of its members",
    "failover": "sends to the first of its members that is up",
    "balance": "sends to its members in turn",
}


@dataclass(frozen=True, slots=True)
class _Written:
    """A group as it is written."""

    spec: GroupSpec
    place: Place

    @property
    def kind(self) -> GroupKind:
        return _kinds_of(self.spec)[-1]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(_words_of(self.spec, self.kind) or ())

    @property
    def words_at(self) -> Place:
        return self.place.at(self.kind)


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


def _kinds_of(spec: GroupSpec) -> list[GroupKind]:
    return [kind for kind in KINDS if _words_of(spec, kind) is not None]


def _words_of(spec: GroupSpec, kind: GroupKind) -> Sequence[str] | None:
    return {"all": spec.all, "failover": spec.failover, "balance": spec.balance}[kind]


def _has_one_kind(spec: GroupSpec, place: Place, context: Context) -> bool:
    kinds = _kinds_of(spec)
    if len(kinds) > 1:
        context.fault_of_key(place.at(kinds[1]), faults.not_both("a group", kinds[0], kinds[1], ONE_KIND))
    if not kinds:
        if not {*KINDS} & place.lost and not any(place.has(name) for name in GroupSpec.not_yet):
            context.fault_of_key(place, faults.missing_setting("all`, `failover` or `balance"))
        return False
    for name, of_kinds in OF_KINDS.items():
        if place.has(name) and kinds[-1] not in of_kinds:
            means = "` or `".join(of_kinds)
            message = f"`{name}` means nothing for a group without `{means}`; leave it out"
            context.findings.warning(place.at(name).holder, "no-effect", message)
    moment = ", since a peer may be away for a moment"
    for name, words, why in (("after", spec.after, moment), ("remember", spec.remember, "")):
        if kinds[-1] in OF_KINDS[name] and duration_s(words) < SHORTEST_S:
            at = place.at(name)
            context.fault(at, faults.out_of_range(f"at least 1 s{why}", at.shown))
    doubt_s = None if spec.after_doubt is None else duration_s(spec.after_doubt)
    if kinds[-1] == "failover" and doubt_s is not None and doubt_s < duration_s(spec.after):
        at = place.at("after_doubt")
        context.fault(at, faults.out_of_range(f"at least `after`, which is {spec.after}", at.shown))
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
        names, spec = self._names(self.groups), group.spec
        if group.kind == "all":
            self.groups[name] = PeerGroup(name, expand(group.words, group.words_at, names, self._context))
            return
        self.groups[name] = PeerGroup(
            name,
            self._in_order(group, names),
            group.kind,
            duration_s(spec.after),
            spec.back == "when up",
            None if spec.after_doubt is None or group.kind != "failover" else duration_s(spec.after_doubt),
            spec.by == "study",
            duration_s(spec.remember),
        )

    def _in_order(self, group: _Written, names: Names) -> tuple[str, ...]:
        """The peers of a group of which one gets the object."""
        members: dict[str, str] = {}
        for index, word in enumerate(group.words):
            at = group.words_at.at(index)
            check_destination(word, at, names, self._context)
            inner = self.groups.get(word)
            if inner is not None and inner.kind != group.kind:
                fit = f"members of a {group.kind} group are peers and {group.kind} groups"
                message = f"{at.shown} {DOES[inner.kind]}; {fit}"
                self._context.error(at, "nested-group", message)
                continue
            for member in names.members.get(word, ()) if inner is None else inner.members:
                if member in members:
                    self._context.error(at, "duplicate-member", again(member, word, members[member]))
                members.setdefault(member, word)
        return tuple(members)
