"""Instances that C-MOVEs of nodes to the gateway are to bring, on PostgreSQL, over a connection of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.ports.expected_instances import ExpectedView, Finished, HandedInstance, HandoverAnswer, SharedMove
from gateway.postgresql.step_connection import StepConnection
from gateway.relational.rows import batch

STATEMENT_LIMIT_S = 5.0
"""The longest statement: an instance may have to be written."""


class PostgreSQLExpectedInstances(StepConnection):
    """The `ExpectedInstances` port."""

    def __init__(self, url: str) -> None:
        super().__init__(url, STATEMENT_LIMIT_S)

    def join(self, node: str) -> None:
        self._run("join_expecting", instance=node)

    def look(self, node: str) -> ExpectedView:
        is_joined, moves, handed, answers = self._rows("look_for_expected", instance=node)
        return ExpectedView(
            frozenset(moves),
            tuple(HandedInstance(*row) for row in handed),
            tuple(HandoverAnswer(*row) for row in answers),
            is_joined,
        )

    def read_moves(self, move_ids: Collection[str]) -> Sequence[SharedMove]:
        return [
            SharedMove(move_id, node, peer, tuple(hosts), our_ae_title, message_id, frozenset(uids))
            for move_id, node, peer, hosts, our_ae_title, message_id, uids in self._rows(
                "read_expected_moves", moves=batch(sorted(move_ids))
            )
        ]

    def know(self, node: str, move_ids: Collection[str]) -> None:
        self._run("know_expected", instance=node, moves=batch(sorted(move_ids)))

    def expect(self, move: SharedMove) -> None:
        self._run(
            "expect",
            move_id=move.move_id,
            instance=move.node,
            peer=move.peer,
            hosts=batch(move.hosts),
            our_ae_title=move.our_ae_title,
            message_id=move.message_id,
            uids=batch(sorted(move.sop_instance_uids)),
        )

    def unaware(self, move: SharedMove) -> Collection[str]:
        return self._rows("unaware_nodes", instance=move.node, move_id=move.move_id)

    def finish(self, finished: Finished) -> None:
        with self._transaction():
            if finished.handovers:
                self._run("remove_handed", handovers=batch(sorted(finished.handovers)))
            if finished.answers:
                answers = [(each.handover_id, each.status, each.comment) for each in finished.answers]
                self._run("answer_handed", answers=batch(answers))
            if finished.moves:
                self._run("end_expected", moves=batch(sorted(finished.moves)))

    def hand_over(self, giver: str, instance: HandedInstance, payload: bytes) -> bool:
        is_handed = self._run(
            "hand_over",
            handover_id=instance.handover_id,
            move_id=instance.move_id,
            giver=giver,
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            length_bytes=instance.length_bytes,
            object_name=instance.object_name,
            payload=payload,
        )
        return is_handed is not None

    def read(self, handover_id: str) -> bytes | None:
        found = self._run("read_handed", handover_id=handover_id)
        return None if found is None else bytes(found)

    def tidy(self, unseen_s: float) -> None:
        self._run("tidy_expected", kept_us=round(unseen_s * 1_000_000))

    def leave(self, node: str) -> None:
        self._run("leave_expecting", instance=node)
