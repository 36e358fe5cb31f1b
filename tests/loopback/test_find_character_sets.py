"""C-FIND over names in every kind of character set, some of them unreadable: from the index, a source, and relayed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from structlog.testing import capture_logs

from gateway.dataset.dictionary import tag_of
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.server import Server
from gateway.model.listener import Limits, Listener
from gateway.model.peer import Peer
from gateway.query.attributes import indexed_paths, vr_for
from gateway.query.entry import entry_of
from gateway.sources.relayed_services import SERVICES
from gateway.sqlite.store import SQLiteStore
from tests.loopback.test_find_relayed import WORKLIST, asking
from tests.support.data_set_writer import ENCODINGS, IMPLICIT, Write
from tests.support.dimse.rig import TIMERS
from tests.support.federation import LOOPBACK, Running, Told, answering, ask
from tests.support.identifiers import EXPLICIT
from tests.support.samples import NOON, TO_PACS, instance

NAMES: dict[str, tuple[str, bytes, str]] = {
    # (0008,0005), bytes of Patient's Name, the name that is answered
    "Latin-1": ("ISO_IR 100", b"M\xfcller^X", "Müller^X"),
    "Chinese": ("\\ISO 2022 IR 58", b"Zhang^A=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^A=张^小东="),
    "Korean": ("\\ISO 2022 IR 149", b"Hong^G=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^G=洪^吉洞"),
    "Korean, first value forgotten": ("ISO 2022 IR 149", b"Hong^F=\x1b$)C\xfb\xf3", "Hong^F=洪"),
    "Japanese": ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J", "ﾔﾏﾀﾞ=山田"),
    "not declared": ("ISO_IR 100", b"Y^L=\x1b$B;3ED\x1b(B", "Y^L=山田"),
    "not declared in UTF-8": ("ISO_IR 192", "Ü^U=".encode() + b"\x1b$B;3ED\x1b(B", "Ü^U=山田"),
    "declared as nothing": ("", b"Z^N=\x1b$)A\xd5\xc5", "Z^N=张"),
    "not to be read": ("ISO_IR 192", b"Odd\xff^", "Odd?^"),
    "an unknown escape sequence": ("", b"Esc\x1b)0", "Esc?"),
}
UNREADABLE = 2


def written(number: int, syntax: str = EXPLICIT) -> bytes:
    """A match, and an object, with the name of this number."""
    character_set, name, _ = list(NAMES.values())[number]
    write = Write(ENCODINGS[syntax])
    texts = {
        "SpecificCharacterSet": character_set.encode(),
        "SOPClassUID": b"1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": b"1.2.3.%d.1.1" % number,
        "QueryRetrieveLevel": b"STUDY",
        "PatientName": name,
        "PatientID": b"P%d" % number,
        "StudyInstanceUID": b"1.2.3.%d" % number,
        "SeriesInstanceUID": b"1.2.3.%d.1" % number,
    }
    return b"".join(write.element(keyword, vr_for(tag_of(keyword)), value) for keyword, value in texts.items())


@contextlib.asynccontextmanager
async def archive(syntax: str = EXPLICIT) -> AsyncIterator[Peer]:
    """A peer that answers every C-FIND with all of `NAMES`."""

    async def answer(event: Any) -> AsyncIterator[Any]:
        for number in range(len(NAMES)):
            yield 0xFF00, written(number, event.transfer_syntax_uid)

    asker = Peer("gateway", may=frozenset({"find"}), accept_transfer_syntaxes=(syntax,))
    server = Server(
        handlers=[(evt.EVT_C_FIND, answer)],
        admission=lambda facts: Admitted(asker),
        ae_title="ARCHIVE",
        timers=TIMERS,
        limits=Limits(),
    )
    port = await server.listen(Listener("main", 0, LOOPBACK))
    try:
        yield Peer("archive", "ARCHIVE", LOOPBACK, port, timers=TIMERS)
    finally:
        server.abort_all()
        await server.drain(5.0)


def check(told: Told, gateway: Running, logs: list[Any]) -> None:
    assert told.status == 0x0000
    assert told.texts("PatientName") == sorted(name for _, _, name in NAMES.values())
    assert gateway.metric("gateway_find_values_replaced_total") == UNREADABLE
    assert [line["values"] for line in logs if line["event"] == "find_values_replaced"] == [UNREADABLE]


@pytest.mark.parametrize("character_set", ["", "ISO_IR 100", "ISO_IR 192", "GB18030"])
async def test_a_source(tmp_path: Path, character_set: str) -> None:
    with capture_logs() as logs:
        async with archive() as peer, answering(tmp_path, peer) as gateway:
            told = await ask(gateway.port, "STUDY", character_set=character_set, PatientName="")
    check(told, gateway, logs)


async def test_the_index(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with answering(tmp_path, local=()) as gateway:
            fill(next(tmp_path.glob("index-*.db")))
            told = await ask(gateway.port, "STUDY", PatientName="")
            by_name = await ask(gateway.port, "STUDY", character_set="ISO_IR 192", PatientName="*=张^小东")
    check(told, gateway, logs)
    assert by_name.texts("PatientName") == ["Zhang^A=张^小东="]


def fill(path: Path) -> None:
    queue = SQLiteStore(path)
    with queue.transaction():
        for number in range(len(NAMES)):
            made = entry_of(scan(memoryview(written(number)), EXPLICIT, wanted(indexed_paths())).level)
            uid = f"1.2.3.{number}.1.1"
            queue.deliveries.accept(
                [(dataclasses.replace(instance(number + 1), index=made, sop_instance_uid=uid), [TO_PACS])], NOON
            )
    queue.close()


async def test_a_worklist_in_another_transfer_syntax(tmp_path: Path) -> None:
    (name,) = (name for name, service in SERVICES.items() if WORKLIST in service.sop_class_uids)
    with capture_logs() as logs:
        async with (
            archive(IMPLICIT) as peer,
            answering(tmp_path, peer, sources=(), relay={name: (peer.name,)}) as gateway,
        ):
            told = await asking(gateway.port, WORKLIST, charset="ISO_IR 100", PatientName="")
    check(told, gateway, logs)
