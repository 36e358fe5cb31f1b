"""The gateway as a plain requestor of C-MOVE and C-GET, for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from gateway.dataset.encoding import DEFLATED
from gateway.dataset.file_meta import without_file_meta
from gateway.destinations.part10_head import file_meta
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.dimse.requestor.query_contexts import as_store_scp, query_contexts
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.dimse.requestor.response import Response
from gateway.dimse.requestor.responses import Responses
from gateway.model.associate import ProposedContext
from gateway.model.dimse_status import SUCCESS
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.model.peer import Peer
from gateway.model.query import AnyValue, Attributes, Query, QueryKey, QueryLevel, QueryRoot
from gateway.ports.errors import Refusal, SpoolFull
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL, SOP_CLASS_UID, vr_for
from gateway.query.identifier import IdentifierEncoder, first_text
from gateway.query.sop_classes import GET_OF_ROOT, MOVE_OF_ROOT
from gateway.retrieve.get_proposals import USUAL_CLASSES, get_contexts
from gateway.retrieve.source_instances import instance_query_of
from gateway.sources.source_query import SourceFailed, find
from gateway.sources.sources import Sources

IN_MEMORY_BYTES = 16 * 1024**2
"""The largest instance that arrives in memory; a larger one lies in a file meanwhile."""
_FIT_FOR_A_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,127}")


@dataclass(frozen=True, slots=True)
class RetrieveIdentifier:
    """The identifier of a retrieve."""

    level: QueryLevel
    root: QueryRoot
    keys: Attributes
    """Unique keys by tag."""
    timeout_s: float = 60.0
    """The time limit of every wait for the peer's next response."""

    @property
    def attributes(self) -> Attributes:
        """The identifier as it is sent."""
        return {**self.keys, QUERY_RETRIEVE_LEVEL: (self.level.value,)}


OnResponse = Callable[[Response], None]
"""Called with each response."""


async def move(
    peer: Peer, own_ae_title: str, destination: str, wanted: RetrieveIdentifier, on_response: OnResponse
) -> Response:
    """C-MOVE to the AE title `destination`; the final response.

    Raises:
        DestinationDown, DestinationRefuses, NoContextAccepted: the peer cannot be asked, or was lost.
    """
    uid = MOVE_OF_ROOT[wanted.root]
    async with _associated(peer, own_ae_title, query_contexts(peer, [uid])) as association:
        responses = association.c_move(
            _encoded(association, uid, wanted),
            sop_class_uid=uid,
            destination=destination,
            response_s=wanted.timeout_s,
        )
        return await _final(responses, on_response)


async def get(
    peer: Peer, own_ae_title: str, folder: Path, wanted: RetrieveIdentifier, on_response: OnResponse
) -> Response:
    """C-GET into files ``SOP-INSTANCE-UID.dcm``; the final response.

    Which SOP classes to expect is asked first; a peer that does not say is offered the usual ones.

    Raises:
        DestinationDown, DestinationRefuses, NoContextAccepted: the peer cannot be asked, or was lost.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid = GET_OF_ROOT[wanted.root]
    contexts = get_contexts(peer, await _sop_classes(peer, own_ae_title, wanted) or USUAL_CLASSES)
    contexts = tuple(context for context in contexts if context.abstract_syntax not in GET_OF_ROOT.values())
    associating = as_store_scp(peer, (context.abstract_syntax for context in contexts))
    async with _associated(associating, own_ae_title, (*query_contexts(peer, [uid]), *contexts)) as association:
        responses = association.c_get(
            _encoded(association, uid, wanted),
            sop_class_uid=uid,
            on_store=lambda store: asyncio.to_thread(_write, folder, store),
            receiver=lambda: _Receiver(folder),
            response_s=wanted.timeout_s,
        )
        return await _final(responses, on_response)


@contextlib.asynccontextmanager
async def _associated(
    peer: Peer, own_ae_title: str, contexts: tuple[ProposedContext, ...]
) -> AsyncIterator[RequestorAssociation]:
    association = await associate(peer, own_ae_title=own_ae_title, contexts=contexts)
    try:
        yield association
    finally:
        await association.release()


def _encoded(association: RequestorAssociation, sop_class_uid: str, wanted: RetrieveIdentifier) -> bytes:
    return IdentifierEncoder(association.identifier_syntax(sop_class_uid))(wanted.attributes)


async def _final(responses: Responses, on_response: OnResponse) -> Response:
    async with responses:
        async for response in responses:
            on_response(response)
            if not response.is_pending:
                return response
    raise AssertionError("responses end with a final one")


async def _sop_classes(peer: Peer, own_ae_title: str, wanted: RetrieveIdentifier) -> set[str]:
    """Empty when the peer does not say of every instance."""
    pool = AssociationPool(own_ae_title)
    keys = tuple(QueryKey(tag, vr_for(tag), (AnyValue(_texts(wanted.keys, tag)),)) for tag in sorted(wanted.keys))
    source_query = instance_query_of(Query(wanted.level, wanted.root, keys, is_relational=True))
    found: set[str] = set()
    try:
        async with aclosing(find(Sources(pool), peer, source_query, limit_s=wanted.timeout_s)) as answers:
            async for answer, _ in answers:
                found.add(first_text(answer, SOP_CLASS_UID))
    except SourceFailed:
        return set()
    finally:
        await pool.close()
    return set() if "" in found else found


def _texts(keys: Attributes, tag: int) -> tuple[str, ...]:
    return tuple(value for value in keys[tag] if isinstance(value, str))


# --- files ----------------------------------------------------------------------------------------------------------


class _Body:
    """An encoded data set in a temporary file."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self._file = file
        self.length_bytes = file.tell()

    def view(self) -> memoryview:
        """All bytes, read into memory."""
        return memoryview(b"".join(self.chunks(1024 * 1024)))

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """Read one after the other."""
        self._file.seek(0)
        while chunk := self._file.read(size_bytes):
            yield chunk

    def close(self) -> None:
        self._file.close()


class _Receiver:
    """Keeps a data set in memory, or in a temporary file when it is large."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115 - closed by `_Body`

    def write(self, fragment: memoryview) -> None:
        """Raises SpoolFull."""
        try:
            self._file.write(fragment)
        except OSError as error:
            raise SpoolFull(f"cannot be written: {os.strerror(error.errno or 0)}") from error

    def finish(self) -> _Body:
        """All fragments are there."""
        return _Body(self._file)

    def discard(self) -> None:
        """Free what was kept."""
        self._file.close()


def _in_a_file(store: IncomingStore) -> Iterable[bytes | memoryview]:
    """The data set without group 0002, which is where it begins. Only such a one is read into memory as a whole."""
    begins_with = bytes(next(iter(store.body.chunks(2)), b"")[:2])
    if store.transfer_syntax_uid in DEFLATED or begins_with in (b"\2\0", b"\0\2"):
        pieces = without_file_meta(store.body.view(), store.transfer_syntax_uid)
        if pieces is not None:
            return pieces
    return store.body.chunks(1024 * 1024)


def _write(folder: Path, store: IncomingStore) -> int:
    """A DICOM file, complete when it has its name. Raises Refusal: the instance cannot be a file's name."""
    uid = store.sop_instance_uid
    if not _FIT_FOR_A_NAME.fullmatch(uid):
        raise Refusal("the SOP Instance UID cannot be the name of a file")
    temporary = folder / f".{uid}.part"
    try:
        with temporary.open("wb") as file:
            file.write(
                file_meta(
                    sop_class_uid=store.sop_class_uid,
                    sop_instance_uid=uid,
                    transfer_syntax_uid=store.transfer_syntax_uid,
                    implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                    implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                    source_ae_title=store.association.called_ae_title,
                )
            )
            file.writelines(_in_a_file(store))
        temporary.replace(folder / f"{uid}.dcm")
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise Refusal(f"cannot be written: {os.strerror(error.errno or 0)}") from error
    return SUCCESS
