"""`gateway check` for a cluster: reads the database and the object store, and writes to neither.

It works beside running nodes. Objects, groups and tables that a node is about to deal with are looked at again after a
while, before anything is said of them.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from gateway.cluster.journal import IDENTITY_PREFIX
from gateway.cluster.node_committer import LARGE
from gateway.cluster.sealer import SEGMENTS
from gateway.common.steady_clock import utc_now
from gateway.model.settings import Settings
from gateway.objects.opening import open_object_store
from gateway.objects.start_check import MARKER, marker_of
from gateway.ports.cluster_contents import CheckedSharedStore, JournalHour
from gateway.ports.errors import ConfigurationError, PayloadMissing, Temporary
from gateway.ports.object_store import ObjectStore, StoredObject
from gateway.repair.cluster_payloads import OBJECTS_AT_ONCE, ListedFindings, PayloadCheck
from gateway.repair.report import RepairReport
from gateway.stores import opening

LATER_S = 15.0
"""Objects and tables that a node may be about to deal with are looked at again after so long."""
YOUNG = timedelta(hours=1)
"""An object that the database does not know is not judged for so long: its group may be about to be committed."""
RESTORE_DATABASE = "look at the disk of the database's server, and restore the database"
MOST_SUSPECTS = 100_000
"""Objects that are looked at again at most."""


def check_cluster(
    settings: Settings,
    *,
    has_digests: bool,
    objects: ObjectStore | None = None,
    now: Callable[[], datetime] = utc_now,
    wait: Callable[[float], None] = time.sleep,
) -> RepairReport:
    """Everything that is wrong; with the digest of each payload when it `has_digests`.

    Raises ConfigurationError: they are none of a cluster, or do not belong together; Temporary, QueueBroken: one of
    them cannot be read now, and nothing is known.
    """
    assert settings.objects is not None
    with contextlib.ExitStack() as stack:
        store = opening.open_for_check(settings)
        stack.callback(store.close)
        if objects is None:
            objects = open_object_store(settings.objects)
            stack.callback(objects.close)
        report = RepairReport(is_running=opening.is_gateway_running(settings))
        _ClusterCheck(opening.shown(settings), store, objects, report, now, wait).run(has_digests=has_digests)
    return report


class _ClusterCheck:
    def __init__(
        self,
        shown: str,
        store: CheckedSharedStore,
        objects: ObjectStore,
        report: RepairReport,
        now: Callable[[], datetime],
        wait: Callable[[float], None],
    ) -> None:
        self._shown = shown
        self._store, self._contents = store, store.contents
        self._objects = objects
        self._report = report
        self._findings = ListedFindings(report)
        self._now, self._wait = now, wait
        self._suspects: list[StoredObject] = []
        """Objects that the database does not know."""
        self._not_followed = 0
        """Further ones."""

    def run(self, *, has_digests: bool) -> None:
        identity = self._identity()
        self._require_marker(identity)

        def require_objects() -> None:
            try:
                self._require_marker(identity)
            except ConfigurationError as error:
                raise Temporary(f"{error}; it was there when the check began") from error

        PayloadCheck(
            self._store, self._objects, self._report, self._findings, require_objects, has_digests=has_digests
        ).run()
        self._list_objects()
        self._check_rows()
        self._look_again(is_needed=bool(self._suspects or self._contents.past_hours()))
        self._count_the_rest()
        self._findings.finish()
        self._say_what_is_left_out(has_digests=has_digests)

    # --- whether they belong together -------------------------------------------------------------------------------

    def _identity(self) -> str:
        identity = self._store.spool.spool_id()
        if identity.startswith(IDENTITY_PREFIX):
            return identity
        what = "it belongs to a gateway without `store.objects`" if identity else "no node ever used it"
        raise ConfigurationError(f"database {self._shown}: {what}; there is no cluster to be checked")

    def _require_marker(self, identity: str) -> None:
        """Raises ConfigurationError, Temporary: no object is called missing in a store that is another one, or not
        mounted."""
        begin = marker_of(identity)
        try:
            found = self._objects.read(MARKER, 0, len(begin))
        except PayloadMissing:
            found = b""
        if found != begin:
            reason = f"the object store is none of this cluster's ({MARKER} does not name it)"
            raise ConfigurationError(
                f"{self._objects.shown}: {reason}; mount or name the one that belongs to the database"
            )

    # --- objects that the database does not know --------------------------------------------------------------------

    def _list_objects(self) -> None:
        self._report.counts["objects in the object store"] = 0
        for prefix in (SEGMENTS, LARGE):
            listing = iter(self._objects.list(prefix))
            while page := list(itertools.islice(listing, OBJECTS_AT_ONCE)):
                self._report.counts["objects in the object store"] += len(page)
                for each in self._unknown(page):
                    if len(self._suspects) < MOST_SUSPECTS:
                        self._suspects.append(each)
                    else:
                        self._not_followed += 1

    def _unknown(self, listed: list[StoredObject]) -> list[StoredObject]:
        known = self._contents.known_among([each.name for each in listed])
        return [each for each in listed if each.name not in known]

    def _still_unknown(self) -> Iterator[StoredObject]:
        """Those that are still there, and known no more than before."""
        suspects = iter(self._suspects)
        while page := list(itertools.islice(suspects, OBJECTS_AT_ONCE)):
            for each in self._unknown(page):
                try:
                    self._objects.read(each.name, 0, 0)
                except PayloadMissing:
                    continue
                yield each

    def _report_unknown(self) -> None:
        young = 0
        for each in self._still_unknown():
            age = self._now() - each.modified_at
            if age < YOUNG:
                young += 1
                continue
            self._findings.note(
                "object-unknown",
                each.name,
                f"{each.length_bytes} bytes, written {_span(age)} ago, that the database does not know; a node deletes "
                "it when it is a day old",
            )
        if young:
            self._report.left_out.append(
                f"{young} objects that the database does not know, written within the last hour: they may be about to "
                "be known"
            )
        if self._not_followed:
            self._report.left_out.append(
                f"{self._not_followed} further objects that the database did not know at a first look"
            )

    # --- rows, and the journal --------------------------------------------------------------------------------------

    def _check_rows(self) -> None:
        for what, number in self._contents.disagreements():
            self._report.error("database-disagrees", self._shown, f"{what}: {number}", RESTORE_DATABASE)

    def _look_again(self, *, is_needed: bool) -> None:
        """At all that a node may have dealt with meanwhile."""
        if is_needed and self._report.is_running:
            self._wait(LATER_S)
        self._report_unknown()
        for hour in self._contents.past_hours():
            self._findings.note("journal-left", hour.name, self._why_left(hour))

    def _why_left(self, hour: JournalHour) -> str:
        if not hour.waiting:
            why = "a session uses it, or the search has not come to it" if self._report.is_running else "no node runs"
            return f"nothing of its {hour.groups} groups waits for the object store, and it was not dropped yet: {why}"
        problem = self._store.payloads.unsealed().problem if self._report.is_running else "no node runs"
        why = problem or "no node has come to them"
        return f"{hour.waiting} of its {hour.groups} groups with {hour.waiting_bytes} bytes are not sealed: {why}"

    def _count_the_rest(self) -> None:
        self._report.instances = self._report.counts["instances"]
        for what, number in self._store.rows.tally().items():
            if what.startswith("deliveries "):
                self._report.counts[what] = number
        unsealed = self._store.payloads.unsealed()
        self._report.counts["groups in the journal alone"] = unsealed.groups
        self._report.counts["bytes in the journal alone"] = unsealed.length_bytes

    def _say_what_is_left_out(self, *, has_digests: bool) -> None:
        if not has_digests:
            self._report.left_out.append("the bytes of payloads (`--digests` reads each of them)")
        self._report.left_out.append("pages and indices of the database (`pg_amcheck` reads them)")
        if self._report.is_running:
            self._report.left_out.append("what nodes took while this ran")


def _span(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
