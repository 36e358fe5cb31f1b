"""Names under `to`: peers and groups, and the enabled destinations behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.common import setting_faults as faults
from gateway.config.compile_context import Context
from gateway.config.spec.values import MISSING
from gateway.config.tree import Place
from gateway.model.peer import Peer, PeerGroup


@dataclass(frozen=True, slots=True)
class Names:
    """The names that `to` may have: all that are written, also wrong or disabled ones."""

    peers: frozenset[str]
    groups: frozenset[str]
    not_destinations: frozenset[str]
    """Peers that only call us."""
    members: Mapping[str, tuple[str, ...]]
    """Enabled destinations behind each name; a name without entry was wrong and reported, or is disabled. A group that
    chooses stands for itself."""
    choosing: Mapping[str, PeerGroup] = field(default_factory=dict)
    """Groups that choose one of their members."""

    def peers_behind(self) -> Names:
        """The same, where a group that chooses stands for all its members."""
        peers = {
            name: tuple(dict.fromkeys(peer for word in words for peer in self._all_of(word)))
            for name, words in self.members.items()
        }
        return replace(self, members=peers, choosing={})

    def _all_of(self, word: str) -> tuple[str, ...]:
        return self.choosing[word].members if word in self.choosing else (word,)


def names_of(
    peers: Mapping[str, Peer],
    groups: Mapping[str, PeerGroup],
    written_peers: Iterable[str],
    written_groups: Iterable[str],
    not_destinations: Iterable[str],
) -> Names:
    """The names for `to`, from what is written and what of it is in force."""
    members: dict[str, tuple[str, ...]] = {name: (name,) for name, peer in peers.items() if peer.is_destination}
    choosing = {name: group for name, group in groups.items() if group.is_choosing}
    members |= {name: (name,) if name in choosing else group.members for name, group in groups.items()}
    return Names(frozenset(written_peers), frozenset(written_groups), frozenset(not_destinations), members, choosing)


def expand(words: Sequence[str], place: Place, names: Names, context: Context) -> tuple[str, ...]:
    """Names of peers and groups → enabled peers and groups that choose, each once."""
    return expand_some(dict(enumerate(words)), place, names, context)


def expand_some(words: Mapping[int, str], place: Place, names: Names, context: Context) -> tuple[str, ...]:
    """The same, of some of the words at `place`, by their index there."""
    members: dict[str, str] = {}
    for index, word in words.items():
        at = place.at(index)
        check_destination(word, at, names, context)
        for member in names.members.get(word, ()):
            if member in members:
                message = f"{again(member, word, members[member])}; it gets the object once"
                context.findings.warning(at.mark, "duplicate-destination", message)
            members.setdefault(member, word)
    return tuple(members)


def recipients(words: Sequence[str], place: Place, names: Names, context: Context) -> tuple[str, ...]:
    """Names of peers and groups → enabled peers, each once. Peers that only call us are good too, since they may be the
    requestor of a C-GET."""
    callers = Names(names.peers, names.groups, frozenset(), {name: (name,) for name in names.not_destinations})
    callers = replace(callers, members={**callers.members, **names.peers_behind().members})
    return expand(words, place, callers, context)


def again(member: str, word: str, first: str) -> str:
    """The words on a destination that `word` names once more, after `first`."""
    if word != member:
        return f"`{word}` holds `{member}`, which stands here already"
    return f"`{member}` stands here twice" if first == member else f"`{member}` is in `{first}` already"


def check_destination(word: str, place: Place, names: Names, context: Context) -> None:
    """Report a word that names no destination."""
    if word == MISSING:
        return
    if word in names.not_destinations:
        message = f"{place.shown} only calls us: it has neither `address` nor `folder`"
        context.error(place, "not-a-destination", message)
    if word not in names.peers and word not in names.groups and context.is_complete:
        message = faults.no_such_name("peer and no group", place.shown, word, names.peers | names.groups)
        context.error(place, "unknown-destination", message)
