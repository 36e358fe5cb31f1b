"""Counting C-STORE sub-operations, and what a response says of them (PS3.4 §C.4.2, §C.4.3; PS3.7 §9.1.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.dimse.protocol.message import Command
from gateway.dimse.pynetdicom_contract.yields import RelayedCounters, SubOperationDone
from gateway.model.dimse_status import (
    CANCEL,
    SOME_SUB_OPERATIONS_FAILED,
    SUCCESS,
    UNABLE_TO_PERFORM_SUB_OPERATIONS,
    Category,
)
from gateway.sending.store_outcome import SubOperationResult

MOST = 0xFFFF
"""Counters have the VR US."""


class SubOperationCounters:
    """The counters of one C-GET or C-MOVE.

    Args:
        instances: how many the handler announced; None when it does not know.
        destinations: how many get each of them.
    """

    def __init__(self, instances: int | None = None, destinations: int = 1) -> None:
        self.is_by_instance = instances is not None and instances * destinations > MOST
        """True when an instance is one sub-operation, whatever the number of destinations."""
        self.per_instance = 1 if self.is_by_instance else destinations
        """Sub-operations that an instance makes."""
        self._remaining = None if instances is None else instances * self.per_instance
        self._counts = [0, 0, 0]
        self._failed_uids: dict[str, None] = {}
        self._is_relayed = False

    @property
    def remaining(self) -> int | None:
        """Sub-operations not begun or in work; None when their number is not known."""
        return self._remaining

    @property
    def is_complete(self) -> bool:
        """True when nothing remains of a known number, by our own count."""
        return self._remaining == 0 and not self._is_relayed

    @property
    def has_failed(self) -> bool:
        """True when a sub-operation failed."""
        return self._counts[SubOperationResult.FAILED] > 0

    @property
    def failed_sop_instance_uids(self) -> list[str]:
        """UIDs of instances with a failed sub-operation, each once, in the order of failing."""
        return list(self._failed_uids)

    def count(self, sop_instance_uid: str, results: Iterable[SubOperationResult]) -> None:
        """The sub-operations of one instance, one result a destination."""
        found = list(results)
        counted = [max(found)] if self.is_by_instance else found
        for result in counted:
            self._counts[result] += 1
        self._take(len(counted))
        if SubOperationResult.FAILED in counted:
            self._list(sop_instance_uid)

    def fail_instance(self, sop_instance_uid: str) -> None:
        """An instance that reaches no destination."""
        self.count(sop_instance_uid, [SubOperationResult.FAILED] * self.per_instance)

    def add(self, done: SubOperationDone) -> None:
        """Count sub-operations that another SCP did."""
        for result, amount in zip(SubOperationResult, (done.completed, done.warning, done.failed), strict=True):
            self._counts[result] += amount
        self._take(done.completed + done.failed + done.warning)
        for uid in done.failed_sop_instance_uids:
            self._list(uid)

    def replace(self, counters: RelayedCounters) -> None:
        """Take the counters of another SCP from now on."""
        self._is_relayed = True
        self._remaining = counters.remaining
        self._counts = [counters.completed, counters.warning, counters.failed]
        for uid in counters.failed_sop_instance_uids:
            self._list(uid)

    def list_failed(self, uids: Iterable[str]) -> None:
        """Name instances as failed without counting them."""
        for uid in uids:
            self._list(uid)

    def give_up_remaining(self) -> None:
        """Count announced instances that never came as failed."""
        if self._remaining and not self._is_relayed:
            self._counts[SubOperationResult.FAILED] += self._remaining
        self._remaining = 0

    def outcome(self) -> int:
        """Success, Warning when something failed or warned, Failure when everything failed."""
        completed, warning, failed = self._counts
        if not failed and not warning:
            return SUCCESS
        return SOME_SUB_OPERATIONS_FAILED if completed or warning else UNABLE_TO_PERFORM_SUB_OPERATIONS

    def elements(self, status: int) -> Command:
        """The counters that a response with `status` carries: Number of Remaining Sub-operations in Pending and Cancel
        responses only, the others in each."""
        completed, warning, failed = (min(count, MOST) for count in self._counts)
        elements: Command = {
            "NumberOfCompletedSuboperations": completed,
            "NumberOfFailedSuboperations": failed,
            "NumberOfWarningSuboperations": warning,
        }
        if self._remaining is not None and (status == CANCEL or Category.of(status) is Category.PENDING):
            elements["NumberOfRemainingSuboperations"] = min(self._remaining, MOST)
        return elements

    def _take(self, amount: int) -> None:
        if self._remaining is not None:
            self._remaining = max(0, self._remaining - amount)

    def _list(self, uid: str) -> None:
        if uid:
            self._failed_uids[uid] = None
