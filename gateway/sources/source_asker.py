"""The whole of a study or series, as a source has it: the SOP Instance UIDs of all its instances, by C-FIND."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing

from gateway.model.collection import digest_of
from gateway.model.peer import Peer
from gateway.model.query import QueryLevel, Value
from gateway.ports.errors import DestinationDown
from gateway.query.attributes import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gateway.query.identifier import first_text
from gateway.sources.query_steps import SourceQuery
from gateway.sources.source_query import SourceFailed, find
from gateway.sources.sources import Sources


class SourceAsker:
    """Asks peers for the instances that they have. `peers`: those of the rules in force, by name."""

    def __init__(self, sources: Sources, peers: Callable[[], Mapping[str, Peer]]) -> None:
        self._sources = sources
        self._peers = peers

    async def uids(
        self, name: str, study_instance_uid: str, series_instance_uid: str, limit_s: float
    ) -> dict[str, str]:
        """Keys of SOP Instance UIDs (`digest_of`) → these. Instances are asked for, since numbers of related ones
        (PS3.4 §C.6.2) need not come, and do not say which.

        Args:
            series_instance_uid: empty for the whole study.
            limit_s: how long the source may keep us waiting; twice as long at most, all in all.

        Raises SourceFailed.
        """
        peer = self._peers().get(name)
        if peer is None or not peer.host:
            raise SourceFailed(name, "the rules in force have no such source")
        keys: dict[int, Value] = {STUDY_INSTANCE_UID: (study_instance_uid,), SERIES_INSTANCE_UID: ()}
        if series_instance_uid:
            keys[SERIES_INSTANCE_UID] = (series_instance_uid,)
        query = SourceQuery("study", QueryLevel.IMAGE, keys | {SOP_INSTANCE_UID: ()}, is_relational=True)
        found: dict[str, str] = {}
        try:
            async with (
                asyncio.timeout(2 * limit_s),
                aclosing(find(self._sources, peer, query, limit_s=limit_s)) as answers,
            ):
                async for answer, _ in answers:
                    if not _is_of(answer, keys):
                        raise SourceFailed(name, "it answers of what it was not asked")
                    uid = first_text(answer, SOP_INSTANCE_UID)
                    found[digest_of(uid)] = uid.encode("ascii", "replace").decode()
        except TimeoutError:
            raise SourceFailed(name, f"its answer had no end in {2 * limit_s:g} s") from None
        except DestinationDown as error:
            raise SourceFailed(name, str(error)) from error
        return found


def _is_of(answer: Mapping[int, Value], keys: Mapping[int, Value]) -> bool:
    """True when the unique keys of an answer, where it has them, are those that were asked for."""
    return all(first_text(answer, tag) in ("", str(value[0])) for tag, value in keys.items() if value)
