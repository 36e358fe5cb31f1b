"""`gateway check`: reads the whole spool and the database, and writes to neither.

Beside a running gateway what is being written now is left out: what lies behind the position that the database had when
the check began, and files that come and go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from gateway.model.instance import PayloadRef
from gateway.model.settings import Settings
from gateway.ports.errors import ConfigurationError, GatewayError, PayloadLost, Temporary
from gateway.repair.pairing import found_mismatch, has_payloads, is_in_use, refuse_server, spool_id
from gateway.repair.report import LOOK_AT_THE_DISK, MOUNT, REBUILD, RepairReport
from gateway.spool import quarantine, segment, survey
from gateway.spool.folder import IDENTITY
from gateway.spool.reader import PayloadReader
from gateway.spool.record import seed_of
from gateway.spool.recovery import number, payload_files
from gateway.spool.survey import Damage, Survey
from gateway.spool.walk import FoundRecord, Gap, walk
from gateway.sqlite.connection import REPAIR
from gateway.sqlite.inspection import HeldRow, Inspection, inspected, problems_of, state_of_log
from gateway.sqlite.write_ahead_log import LogState, log_of

PROBLEMS_SHOWN = 5


def check(settings: Settings) -> RepairReport:
    """Everything that is wrong. Raises ConfigurationError: a newer gateway wrote it, or the database is no file."""
    refuse_server(settings, "checked against its spool")
    return _Check(settings).run()


class _Check:
    def __init__(self, settings: Settings) -> None:
        self._root = Path(settings.spool.path)
        self._database = Path(settings.queue_path)
        self._reader = PayloadReader(self._root, settings.spool.large_object_bytes)
        self._report = RepairReport(is_running=is_in_use(settings))
        if self._report.is_running:
            self._report.rebuild = f"stop the gateway, and {REBUILD}"
        self._queue: Inspection | None = None
        self._spool_id = ""
        self._seen: set[str] = set()
        self._position = ("", 0)

    def run(self) -> RepairReport:
        with contextlib.closing(self._reader), contextlib.ExitStack() as stack:
            has_spool = self._has_spool()
            self._queue = self._open_database(stack)
            if not has_spool:
                return self._report
            self._check_pair()
            self._check_segments()
            self._check_large_files()
            self._check_missing_files()
            self._list_quarantine()
        return self._report

    # --- the database -----------------------------------------------------------------------------------------------

    def _open_database(self, stack: contextlib.ExitStack) -> Inspection | None:
        """None when nothing can be asked of it. Raises ConfigurationError."""
        path = str(self._database)
        if not self._database.is_file():
            self._report_no_database()
            return None
        try:
            problems = problems_of(self._database)
            self._check_log(state_of_log(self._database))
            queue = stack.enter_context(inspected(self._database))
            if not queue.has_tables():
                self._report.error("database-empty", path, "the database was never filled", self._report.rebuild)
                return None
            if problems:
                self._report_damaged_database(*problems)
            else:
                for what, count in queue.disagreements():
                    self._report.error("database-disagrees", path, f"{what}: {count}", self._report.rebuild)
            self._position = queue.replayed_position()
            self._report.instances = queue.count()
        except ConfigurationError:
            raise
        except GatewayError as error:
            self._report_damaged_database(str(error))
            return None
        return queue

    def _report_no_database(self) -> None:
        path = str(self._database)
        if self._report.is_running:
            what = "there is no database, though a gateway is running: it was moved away or deleted"
            self._report.error("database-missing", path, what, f"put it back; where it is lost, {self._report.rebuild}")
        else:
            self._report.error("database-missing", path, "there is no database", self._report.rebuild)

    def _report_damaged_database(self, *problems: str) -> None:
        """Report a damaged database once, however many checks meet it."""
        if self._report.has("database-damaged"):
            return
        shown = "; ".join(each.removesuffix(f"; {REPAIR}") for each in problems[:PROBLEMS_SHOWN])
        more = f"; and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
        self._report.error("database-damaged", str(self._database), f"{shown}{more}", self._report.rebuild)

    def _check_log(self, state: LogState) -> None:
        if state.is_damaged and not self._report.is_running:
            self._report.note(
                "log-cut-short",
                str(log_of(self._database)),
                f"it is read up to {state.read_bytes}, though {state.whole_behind} whole frames stand behind; after a "
                "power cut that is usual. What they held is told again from the spool at the next start",
                start_bytes=state.read_bytes,
                end_bytes=state.size_bytes,
            )

    def _rows(self, name: str) -> Sequence[HeldRow]:
        if self._queue is None:
            return ()
        try:
            return self._queue.rows(name)
        except GatewayError as error:
            self._report_damaged_database(str(error))
            self._queue = None
            return ()

    # --- the spool --------------------------------------------------------------------------------------------------

    def _has_spool(self) -> bool:
        """True when there is a spool. A mount point in which a start that failed has made folders is none either."""
        if self._root.is_dir():
            self._spool_id = spool_id(self._root)
            folders = all((self._root / folder).is_dir() for folder in (segment.FOLDER, "large"))
            if folders and (self._spool_id or has_payloads(self._root)):
                return True
        self._report.error("spool-missing", str(self._root), "there is no spool in this folder", MOUNT)
        self._report.rebuild = f"first mount or restore the spool, and run `gateway check` again; then {REBUILD}"
        return False

    def _check_pair(self) -> None:
        """Report the mismatch of spool and database that a start would refuse; also a spool without an identity, when
        the database has none either."""
        there, has_rows = "", False
        if self._queue is not None:
            try:
                there, has_rows = self._queue.identity()
            except GatewayError as error:
                self._report_damaged_database(str(error))
                return
        found = found_mismatch(self._root, there, has_rows=has_rows)
        if found == "identity-differs":
            self._report.error(
                found,
                IDENTITY,
                "the database names payloads of another spool",
                "mount or restore the spool that belongs to it, or the database that belongs to this spool",
            )
        elif found == "database-empty" and self._queue is not None and not self._report.has("database-damaged"):
            what = "it belongs to no spool, and the spool holds payloads: a gateway does not start with it"
            self._report.error(found, str(self._database), what, self._report.rebuild)
        if found == "identity-missing" or not self._spool_id:
            what = "the spool has no identity, so nobody can tell whether its headers are as this spool wrote them"
            self._report.error("identity-missing", IDENTITY, what, f"restore it, or {self._report.rebuild}")

    def _is_trusted(self) -> bool:
        """True when the database is there, is whole and belongs to this spool: a start goes on from its position."""
        codes = ("database-damaged", "database-empty", "identity-missing", "identity-differs")
        return self._queue is not None and not any(map(self._report.has, codes))

    def _files(self, folder: str) -> list[str]:
        names = [name for name, _ in payload_files(self._root) if name.startswith(f"{folder}/")]
        return sorted(names, key=number)

    def _check_segments(self) -> None:
        names = self._files(segment.FOLDER)
        self._check_position(names)
        seed, groups_behind = seed_of(self._spool_id), 0
        for name in names:
            self._seen.add(name)
            try:
                found = survey.survey(self._root, name, seed, end_bytes=self._end_of(name))
            except FileNotFoundError:
                continue  # swept meanwhile
            except OSError as error:
                self._report.error("file-not-readable", name, str(error), LOOK_AT_THE_DISK)
                continue
            self._report.segments += 1
            self._report.records += found.records
            self._check_segment(name, found)
            groups_behind += sum(_is_behind(found_redo.position, self._position) for found_redo in found.redo_records)
        if groups_behind and not self._report.is_running and self._is_trusted():
            self._report.note(
                "database-behind",
                str(self._database),
                f"{groups_behind} groups of the spool stand behind its position; the next start tells it of them",
            )

    def _end_of(self, name: str) -> int | None:
        """The end of the part of a segment that is read; None for all of it. Behind its position a gateway writes while
        we read."""
        if not self._report.is_running:
            return None
        known, end_bytes = self._position
        if name == known:
            return end_bytes
        return 0 if _is_behind((name, 0), self._position) else None

    def _check_position(self, names: Sequence[str]) -> None:
        name, end_bytes = self._position
        if not name or self._report.is_running:
            return
        if name in names and (self._root / name).stat().st_size < end_bytes:
            self._report.error(
                "segment-short",
                name,
                f"the database knows it up to {end_bytes}, and it is shorter",
                LOOK_AT_THE_DISK,
                start_bytes=(self._root / name).stat().st_size,
                end_bytes=end_bytes,
            )
        if names and number(names[-1]) < number(name):
            self._report.note(
                "segments-older", name, "the database knows segments that are gone; new ones come behind them"
            )

    def _check_segment(self, name: str, found: Survey) -> None:
        rows = self._rows(name)
        lost = {row.instance_id: row for row in rows if self._is_lost(name, row, found)}
        for damage in found.damages:
            if damage.what == "header" and not self._spool_id:
                continue  # its CRC begins with the identity; what follows is as it was written
            hit = [row for row in rows if damage.covers(row.offset_bytes, row.length_bytes)]
            self._report_damage(damage, [row for row in hit if row.instance_id in lost], hit)
            for row in hit:
                lost.pop(row.instance_id, None)
        for row in lost.values():
            self._report_lost(name, row)
        self._check_loose(name, found, {row.offset_bytes for row in rows})

    def _report_damage(self, damage: Damage, lost: Sequence[HeldRow], hit: Sequence[HeldRow]) -> None:
        is_known = bool(hit) or (self._queue is not None and not _is_behind_place(damage, self._position))
        uids = [row.sop_instance_uid for row in lost] if is_known else list(damage.sop_instance_uids)
        if damage.is_torn and not lost:
            self._report.note(
                "torn",
                damage.name,
                "a group that the power cut short: it was never acknowledged",
                start_bytes=damage.start_bytes,
                end_bytes=damage.end_bytes,
            )
            return
        self._report.error(
            f"{damage.what}-damaged",
            damage.name,
            f"{damage.what}: {damage.trouble}",
            LOOK_AT_THE_DISK if uids else "look at the disk; no object that is owed is touched",
            start_bytes=damage.start_bytes,
            end_bytes=damage.end_bytes,
            lost=uids,
            owed=sum(row.owed for row in lost),
        )

    def _is_lost(self, name: str, row: HeldRow, found: Survey) -> bool:
        record = found.payloads.get(row.offset_bytes)
        if record is not None and (record.length_bytes, record.digest) == (row.length_bytes, row.digest):
            return False
        return self._problem_with(name, row) != ""

    def _problem_with(self, name: str, row: HeldRow) -> str:
        """The problem with its bytes, read as a delivery would read them; empty when there is none."""
        try:
            with contextlib.closing(
                self._reader.open(PayloadRef(name, row.offset_bytes, row.length_bytes, row.digest))
            ) as body:
                for _ in body.chunks(1024**2):
                    pass
        except (PayloadLost, Temporary, OSError) as error:
            return str(error)
        return ""

    def _report_lost(self, name: str, row: HeldRow) -> None:
        """Report a lost payload, unless it went away while we read."""
        problem = self._problem_with(name, row)
        if not problem or (self._report.is_running and row not in self._rows(name)):
            return
        self._report.error(
            "payload-lost",
            name,
            problem,
            f"{LOOK_AT_THE_DISK}; where the database's row is wrong and the file is whole, {self._report.rebuild}",
            start_bytes=row.offset_bytes,
            end_bytes=row.offset_bytes + row.length_bytes,
            lost=[row.sop_instance_uid],
            owed=row.owed,
        )

    def _check_loose(self, name: str, found: Survey, known: set[int]) -> None:
        loose = [each for each in found.loose if each.offset_bytes not in known]
        behind = [each for each in loose if _is_behind((name, each.offset_bytes), self._position)]
        if behind and not self._report.is_running:
            self._report.error(
                "payload-without-note",
                name,
                f"{len(behind)} whole payloads have no note: nobody knows where they were to go",
                "start the gateway: it holds them for you to release (`gateway queue list --state held`)"
                if self._is_trusted()
                else f"{self._report.rebuild}: it holds them for you to release",
                start_bytes=min(each.offset_bytes for each in behind),
                end_bytes=max(each.end_bytes for each in behind),
            )

    def _check_large_files(self) -> None:
        for name in self._files("large"):
            self._seen.add(name)
            rows = self._rows(name)
            try:
                found = list(walk(self._root / name, 0, is_checked=not rows))  # else `_report_lost` reads it
            except FileNotFoundError:
                continue
            except OSError as error:
                self._report.error("file-not-readable", name, str(error), LOOK_AT_THE_DISK)
                continue
            self._report.large_files += 1
            self._report.records += 1
            self._check_large_file(name, rows, found)

    def _check_large_file(self, name: str, rows: Sequence[HeldRow], found: Sequence[FoundRecord | Gap]) -> None:
        is_whole = any(isinstance(each, FoundRecord) and not each.trouble for each in found)
        for row in rows:
            self._report_lost(name, row)
        if not rows and (self._report.is_running or not self._is_trusted()):
            return  # it is arriving, or has just been forgotten; or nobody knows who names it
        if not rows:
            state = "whole" if is_whole else "not finished"
            self._report.note(
                "file-unnamed", name, f"the database does not name it; it is {state}", "the sweep takes it"
            )
            return
        for each in found:
            if isinstance(each, FoundRecord) and each.is_header_damaged:
                self._report.error(
                    "header-damaged",
                    name,
                    "header: one byte has changed",
                    "look at the disk; no object that is owed is touched",
                    start_bytes=each.start_bytes,
                    end_bytes=each.record.offset_bytes,
                )

    def _check_missing_files(self) -> None:
        if self._queue is None:
            return
        try:
            missing = sorted(self._queue.payload_names().keys() - self._seen)
        except GatewayError as error:
            self._report_damaged_database(str(error))
            return
        for name in missing:
            rows = [] if _is_file(self._root / name) else self._rows(name)
            if not rows:
                continue
            self._report.error(
                "file-missing",
                name,
                "the database names it, and it is not there, or no regular file",
                "restore it; else ask the senders to send the objects again, and discard what cannot be delivered",
                lost=[row.sop_instance_uid for row in rows],
                owed=sum(row.owed for row in rows),
            )

    def _list_quarantine(self) -> None:
        folder = self._root / quarantine.FOLDER
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(folder.iterdir()):
                name = f"{quarantine.FOLDER}/{path.name}"
                self._report.note("quarantined", name, f"{path.stat().st_size} bytes were set aside")


def _is_file(path: Path) -> bool:
    """False for a link, a pipe or a folder, too."""
    return path.is_file() and not path.is_symlink()


def _is_behind(place: tuple[str, int], position: tuple[str, int]) -> bool:
    """True when a place in the segments lies behind what the database knows."""
    if not position[0]:
        return True
    return (number(place[0]), place[1]) > (number(position[0]), position[1])


def _is_behind_place(damage: Damage, position: tuple[str, int]) -> bool:
    return _is_behind((damage.name, damage.end_bytes), position)
