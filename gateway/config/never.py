"""Conditions that can never hold, though nothing is wrong with how they are written."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.compile_context import Context
from gateway.config.tree import Place
from gateway.model.peer import Peer
from gateway.model.problem import SettingPath
from gateway.model.settings import Settings
from gateway.ports import kinds as port_kinds
from gateway.ports.kinds import Callers, Predicate, doubts_of
from gateway.routing.language.kind_tree import children, inside
from gateway.routing.language.kinds import name_of_kind
from gateway.routing.predicates.combining import NamedConditionHolds

Doubts = list[tuple[SettingPath, str]]
"""(path inside the predicate's value, why it can never be)."""


class Never:
    """Looks through conditions for what cannot be; equal conditions are looked at once."""

    def __init__(self, settings: Settings, peers: Mapping[str, Peer]) -> None:
        self._callers = Callers(
            ae_titles=frozenset(peer.ae_title for peer in peers.values() if peer.may and peer.ae_title),
            admits_strangers=settings.admit == "any",
            called_ae_titles=frozenset({settings.ae_title, *settings.called_ae_titles}),
        )
        self._known: dict[int, tuple[Predicate, Doubts]] = {}
        """Doubts by identity of the predicate, which is kept so that no other gets its identity."""

    def warn(self, condition: Predicate, place: Place, context: Context) -> None:
        """`place` is where the condition is written. Named conditions are looked at where they stand."""
        if isinstance(condition, NamedConditionHolds) or not self._is_doubtful(condition):
            return
        inner = list(children(condition))
        here = place.at(name_of_kind(condition, port_kinds.predicate))
        for path, message in [] if inner else self._doubts(condition):
            at = here.at(*path)
            context.findings.warning(at.mark, "never-holds", f"{at.shown} can never be: {message}")
        for path, one in inner:
            self.warn(one, here.at(*path), context)

    def _is_doubtful(self, condition: Predicate) -> bool:
        """False for nearly every condition: its places are not looked for then."""
        if isinstance(condition, NamedConditionHolds):
            return False
        inner = inside(condition)
        return any(map(self._is_doubtful, inner)) if inner else bool(self._doubts(condition))

    def _doubts(self, condition: Predicate) -> Doubts:
        if id(condition) not in self._known:
            self._known[id(condition)] = condition, list(doubts_of(condition, self._callers))
        return self._known[id(condition)][1]
