"""Expected instances in memory, held to the contract suite beside those in a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.ports.errors import SpoolFull
from gateway.ports.expected_instances import ExpectedView, Finished, HandedInstance, HandoverAnswer, SharedMove


class MemoryExpectedInstances:
    """See `gateway.ports.expected_instances.ExpectedInstances`. All nodes of a test share one object.

    While `is_cut` no step succeeds. `gone` are nodes that are known to be gone; `tidy` removes what is theirs.
    """

    def __init__(self) -> None:
        self.moves: dict[str, SharedMove] = {}
        self.handed: dict[str, tuple[str, HandedInstance, bytes]] = {}
        self.answers: dict[str, HandoverAnswer] = {}
        self.known: dict[str, Collection[str]] = {}
        self.gone: set[str] = set()
        self.is_cut = False
        self.looks = self.tidied = 0

    def _check(self) -> None:
        if self.is_cut:
            raise SpoolFull("cut off")

    def join(self, node: str) -> None:
        self._check()
        self.known[node] = ()

    def look(self, node: str) -> ExpectedView:
        self._check()
        self.looks += 1
        mine = [each for _, each, _ in self.handed.values() if self.moves[each.move_id].node == node]
        given = [handover_id for handover_id, (giver, _, _) in self.handed.items() if giver == node]
        return ExpectedView(
            frozenset(self.moves),
            tuple(each for each in mine if each.handover_id not in self.answers),
            tuple(self.answers[each] for each in given if each in self.answers),
            node in self.known,
        )

    def read_moves(self, move_ids: Collection[str]) -> Sequence[SharedMove]:
        self._check()
        return [self.moves[each] for each in move_ids if each in self.moves]

    def know(self, node: str, move_ids: Collection[str]) -> None:
        self._check()
        if node in self.known:
            self.known[node] = tuple(move_ids)

    def expect(self, move: SharedMove) -> None:
        self._check()
        self.moves.setdefault(move.move_id, move)

    def unaware(self, move: SharedMove) -> Collection[str]:
        self._check()
        others = self.known.keys() - {move.node}
        return [node for node in others if move.move_id not in self.known[node]]

    def finish(self, finished: Finished) -> None:
        self._check()
        self._remove([*finished.handovers])
        for answer in finished.answers:
            if answer.handover_id in self.handed:
                self.answers[answer.handover_id] = answer
        for move_id in finished.moves:
            self._end(move_id)

    def _end(self, move_id: str) -> None:
        self.moves.pop(move_id, None)
        self._remove([name for name, (_, each, _) in self.handed.items() if each.move_id == move_id])

    def _remove(self, handovers: Collection[str]) -> None:
        for each in handovers:
            self.handed.pop(each, None)
            self.answers.pop(each, None)

    def hand_over(self, giver: str, instance: HandedInstance, payload: bytes) -> bool:
        self._check()
        if instance.move_id not in self.moves:
            return False
        self.handed[instance.handover_id] = giver, instance, payload
        return True

    def read(self, handover_id: str) -> bytes | None:
        self._check()
        return self.handed[handover_id][2] if handover_id in self.handed else None

    def tidy(self, unseen_s: float) -> None:
        self._check()
        self.tidied += 1
        for node in self.gone:
            self.leave(node)

    def leave(self, node: str) -> None:
        self._check()
        self.known.pop(node, None)
        for move_id in [each.move_id for each in self.moves.values() if each.node == node]:
            self._end(move_id)

    def close(self) -> None:
        """Others go on with it."""
