"""The check that each payload of a cluster is where the database says, and on request that it has its digest.

Nodes take, seal and forget meanwhile. So each problem is looked at once more, in an order in which nothing that moves
can look like a loss: the place, the bytes, and at last that the instance still needs them.
"""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from gateway.cluster.read_window import WINDOW_BYTES, ReadWindow
from gateway.ports.cluster_contents import CheckedSharedStore, HeldPayload, KnownObject
from gateway.ports.errors import PayloadMissing
from gateway.ports.object_store import ObjectStore
from gateway.repair.report import RepairReport
from gateway.spool.digest import has_digest

ROWS_AT_ONCE = 1000
OBJECTS_AT_ONCE = 256
OBJECT_THREADS = 8
CHUNK_BYTES = 1024**2
MOST_LISTED = 1000
"""Findings of a kind, and SOP Instance UIDs of a finding, that are listed; further ones are counted."""
RESTORE = (
    "restore the database and the object store to one state; else have the senders send the objects again, and discard "
    "what cannot be delivered"
)


class ListedFindings:
    """The findings of a report, up to so many of a kind."""

    def __init__(self, report: RepairReport) -> None:
        self._report = report
        self._found: dict[str, int] = {}

    def error(self, code: str, place: str, what: str, **more: object) -> None:
        if self._is_listed(code):
            self._report.error(code, place, what, RESTORE, **more)

    def note(self, code: str, place: str, what: str) -> None:
        if self._is_listed(code):
            self._report.note(code, place, what)

    def _is_listed(self, code: str) -> bool:
        self._found[code] = self._found.get(code, 0) + 1
        return self._found[code] <= MOST_LISTED

    def finish(self) -> None:
        """Say what is not listed."""
        for code, number in self._found.items():
            if number > MOST_LISTED:
                self._report.left_out.append(f"{number - MOST_LISTED} further findings {code} are counted, not listed")


class PayloadCheck:
    """`require_objects` raises when the object store is not there as a whole."""

    def __init__(
        self,
        store: CheckedSharedStore,
        objects: ObjectStore,
        report: RepairReport,
        findings: ListedFindings,
        require_objects: Callable[[], None],
        *,
        has_digests: bool,
    ) -> None:
        self._store, self._contents = store, store.contents
        self._objects = objects
        self._report = report
        self._findings = findings
        self._require_objects = require_objects
        self._has_digests = has_digests
        self._in_journal = ReadWindow(self._read_journal)
        self._in_object = ReadWindow(objects.read)
        self._group: tuple[str, int | None] = "", None
        """The group that was looked for last in the journal, and its length."""
        self._missing: list[HeldPayload] = []
        """Payloads of one group that is nowhere."""
        self._not_read = 0

    def run(self) -> None:
        for what in ("instances", "payload bytes", "objects in the database", "objects that no instance needs"):
            self._report.counts[what] = 0
        if self._has_digests:
            self._report.counts["digests read"] = 0
        self._check_places()
        self._check_objects()
        if self._not_read:
            self._report.left_out.append(
                f"{self._not_read} payloads whose object was there a moment before; check again"
            )

    def _count(self, what: str, number: int = 1) -> None:
        self._report.counts[what] += number

    # --- where each payload is --------------------------------------------------------------------------------------

    def _check_places(self) -> None:
        last: HeldPayload | None = None
        while page := self._contents.payloads_after(last, ROWS_AT_ONCE):
            for held in page:
                self._count("instances")
                self._count("payload bytes", held.payload.length_bytes)
                self._check_place(held)
            last = page[-1]
        self._report_missing()

    def _check_place(self, held: HeldPayload) -> None:
        problem = self._problem(held) and self._confirmed(held)
        name = held.payload.name
        if problem == "missing":
            if self._missing and (self._missing[0].payload.name != name or len(self._missing) == MOST_LISTED):
                self._report_missing()
            self._missing.append(held)
        elif problem:
            end_bytes = held.payload.offset_bytes + held.payload.length_bytes
            self._report_lost("payload-beyond", name, problem, [held], held.payload.offset_bytes, end_bytes)
        elif self._has_digests and held.object_bytes is None:
            self._check_digest(held)

    def _problem(self, held: HeldPayload) -> str:
        """Empty when the database knows a place for all its bytes."""
        payload = held.payload
        if held.object_name is None:
            length_bytes, end_bytes = self._group_bytes(payload.name), payload.offset_bytes + payload.length_bytes
            if length_bytes is None:
                return "missing"
            return "" if end_bytes <= length_bytes else f"it ends behind its group, which has {length_bytes} bytes"
        if held.object_bytes is None:
            return "" if self._can_read(held) else "missing"
        if held.end_bytes <= held.object_bytes:
            return ""
        return f"it ends behind its object {held.object_name}, which has {held.object_bytes} bytes"

    def _group_bytes(self, name: str) -> int | None:
        if self._group[0] != name:
            self._group = name, self._contents.group_bytes(name)
        return self._group[1]

    def _confirmed(self, held: HeldPayload) -> str:
        """The problem, when it is still there, and the instance after it."""
        self._group = "", None
        found = self._contents.payload_of(held)
        if found is None:
            return ""
        problem = self._problem(found)
        if not problem or self._contents.payload_of(held) is None:
            return ""
        if found.object_name is not None:
            self._require_objects()
        return problem

    def _report_missing(self) -> None:
        lost, self._missing = self._missing, []
        if lost:
            what = "neither the journal nor the object store has the group"
            self._report_lost("payload-missing", lost[0].payload.name, what, lost)

    # --- objects ----------------------------------------------------------------------------------------------------

    def _check_objects(self) -> None:
        name = ""
        with concurrent.futures.ThreadPoolExecutor(OBJECT_THREADS) as threads:
            while page := self._contents.objects_after(name, OBJECTS_AT_ONCE):
                named = [each for each in page if each.is_named]
                self._count("objects in the database", len(page))
                self._count("objects that no instance needs", len(page) - len(named))
                for each, problem in zip(named, threads.map(self._problem_with, named), strict=True):
                    self._check_object(each, problem)
                name = page[-1].name

    def _problem_with(self, known: KnownObject) -> str:
        """Empty when the object is there up to its end."""
        last_bytes = min(known.length_bytes, 1)
        try:
            self._objects.read(known.name, known.length_bytes - last_bytes, last_bytes)
        except PayloadMissing:
            try:
                self._objects.read(known.name, 0, 0)
            except PayloadMissing:
                return "object-missing"
            return "object-short"
        return ""

    def _check_object(self, known: KnownObject, problem: str) -> None:
        problem = problem and self._confirmed_object(known)
        if problem == "object-missing":
            what = "the database leads to it, and it is not in the object store"
            self._report_lost(problem, known.name, what, self._payloads_of(known))
            return
        if problem == "object-short":
            what = f"it ends before its {known.length_bytes} bytes"
            lost = (held for held in self._payloads_of(known) if not self._can_read(held))
            self._report_lost(problem, known.name, what, lost, is_said_anyway=True)
        if self._has_digests:
            for held in self._payloads_of(known):
                if not problem or self._can_read(held):
                    self._check_digest(held)

    def _confirmed_object(self, known: KnownObject) -> str:
        """The problem, when it is still there, and an instance that needs the object after it."""
        problem = self._problem_with(known)
        now = self._contents.known_among([known.name]).get(known.name)
        if not problem or now is None or not now.is_named:
            return ""
        self._require_objects()
        return problem

    def _payloads_of(self, known: KnownObject) -> Iterator[HeldPayload]:
        """Those that end in it."""
        last: HeldPayload | None = None
        while page := self._contents.payloads_of_object(known.name, last, ROWS_AT_ONCE):
            yield from (held for held in page if held.end_bytes <= known.length_bytes)
            last = page[-1]

    def _can_read(self, held: HeldPayload) -> bool:
        """True when its last byte is in the object."""
        assert held.object_name is not None
        last_bytes = min(held.payload.length_bytes, 1)
        try:
            self._objects.read(held.object_name, held.end_bytes - last_bytes, last_bytes)
        except PayloadMissing:
            return False
        return True

    # --- digests ----------------------------------------------------------------------------------------------------

    def _check_digest(self, held: HeldPayload) -> None:
        try:
            is_whole = self._is_whole(held) or self._is_whole(held, is_anew=True)
        except PayloadMissing:
            now = self._contents.payload_of(held)
            self._not_read += now is not None and (held.object_name is not None or now.object_name is None)
            return
        self._count("digests read")
        if is_whole or self._contents.payload_of(held) is None:
            return
        place, start_bytes = (held.object_name, held.start_bytes) if held.object_name else _in_group(held)
        what = "the stored bytes are not those that were taken"
        self._report_lost("payload-damaged", place, what, [held], start_bytes, start_bytes + held.payload.length_bytes)

    def _is_whole(self, held: HeldPayload, *, is_anew: bool = False) -> bool:
        """Raises PayloadMissing, Temporary."""
        payload = held.payload
        window = self._in_journal if held.object_name is None else self._in_object
        name, start_bytes = _in_group(held) if held.object_name is None else (held.object_name, held.start_bytes)
        if payload.length_bytes > WINDOW_BYTES and held.object_name is not None:
            chunks: Iterable[bytes]
            chunks = self._objects.stream(name, start_bytes, payload.length_bytes, CHUNK_BYTES)
            return has_digest(chunks, payload.digest)
        if is_anew:
            window = ReadWindow(self._read_journal if held.object_name is None else self._objects.read)
        until_bytes = self._group_bytes(name) if held.object_name is None else held.object_bytes
        return has_digest([window.take(name, start_bytes, payload.length_bytes, until_bytes or 0)], payload.digest)

    def _read_journal(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        data = self._store.payloads.read(name, offset_bytes, length_bytes)
        if data is None:
            raise PayloadMissing(f"payload {name}: the journal has it no more")
        return data

    # --- what is said -----------------------------------------------------------------------------------------------

    def _report_lost(
        self,
        code: str,
        place: str,
        what: str,
        lost: Iterable[HeldPayload],
        start_bytes: int | None = None,
        end_bytes: int | None = None,
        *,
        is_said_anyway: bool = False,
    ) -> None:
        """Say nothing when all of them were forgotten meanwhile, unless it `is_said_anyway`."""
        named: list[str] = []
        number = owed = 0
        rest = iter(lost)
        while page := list(itertools.islice(rest, ROWS_AT_ONCE)):
            number += len(page)
            owed += len(self._owed(page))
            named += [held.sop_instance_uid for held in page][: MOST_LISTED - len(named)]
        if not number and not is_said_anyway:
            return
        if number > len(named):
            what += f"; it held {number} objects, of which {len(named)} are named here"
        self._findings.error(code, place, what, start_bytes=start_bytes, end_bytes=end_bytes, lost=named, owed=owed)

    def _owed(self, lost: Sequence[HeldPayload]) -> Sequence[object]:
        return list(self._store.rows.owed([held.instance_id for held in lost]))


def _in_group(held: HeldPayload) -> tuple[str, int]:
    return held.payload.name, held.payload.offset_bytes
