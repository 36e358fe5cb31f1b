"""C-FIND of 1 000 studies: `python -m benchmarks.find [--write]`.

The gateway answers from its index, and another one with that one as its source; dcmtk's dcmqrscp and Orthanc hold the
same objects; stock pynetdicom yields data sets that were made beforehand. One requestor made of bytes asks each by
turns and only counts responses. It also asks a process that sends what the gateway has sent, recorded: so fast it can
count. `--write` puts the figures into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.query.identifier import IdentifierEncoder
from tests.support.archive import QRSCP
from tests.support.gateway_process import GatewayProcess
from tests.support.identifiers import CT, EXPLICIT, attributes
from tests.support.load import wire
from tests.support.load.generator import receive_pdu
from tests.support.load.measure import machine, tree_cpu_seconds
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.peers import Orthanc, storescu
from tests.support.processes import REPOSITORY, Daemon, free_port, is_listening
from tests.support.query_table import write_object
from tests.support.stock import no_delay

MATCHES = 1000
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ASKED = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "QueryRetrieveLevel",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyID",
)


def study(at: int) -> dict[str, str]:
    """One study of one instance."""
    return {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.{at}.1.1",
        "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.{at}",
        "SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.{at}.1",
        "PatientName": f"Roe^Jane {at}",
        "PatientID": f"P-{at:06d}",
        "PatientBirthDate": "19700101",
        "StudyDate": "20260105",
        "StudyTime": "083000",
        "AccessionNumber": f"A-{at:06d}",
        "StudyID": str(at),
        "StudyDescription": "CT HEAD",
        "ReferringPhysicianName": "House^Gregory",
        "Modality": "CT",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
    }


class Answerer(Daemon):
    """This module in a process of its own, with `options`: stock pynetdicom, or what was recorded."""

    name = "answerer"

    def __init__(self, log_path: Path, *options: str) -> None:
        super().__init__(log_path)
        self.port = free_port()
        self.options = options

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.find", "--serve", str(self.port), *self.options]

    async def is_ready(self) -> bool:
        return is_listening(self.port)


def serve(port: int) -> None:
    """Stock pynetdicom: every query is answered with the same data sets."""
    from pydicom.dataset import Dataset
    from pynetdicom import AE, _config, evt

    _config.LOG_HANDLER_LEVEL = "none"
    found = []
    for at in range(MATCHES):
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        for keyword in ASKED:
            if keyword in study(at):
                setattr(match, keyword, study(at)[keyword])
        found.append(match)

    def find(event: Any) -> Iterator[Any]:
        assert event.identifier.QueryRetrieveLevel == "STUDY"
        for match in found:
            yield 0xFF00, match

    ae = AE("GATEWAY")
    ae.add_supported_context(STUDY_FIND, EXPLICIT)
    handlers: list[Any] = [(evt.EVT_C_FIND, find), (evt.EVT_CONN_OPEN, no_delay)]
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    threading.Event().wait()


def replay(port: int, folder: Path) -> None:
    """Answer an association and each of its queries with the bytes that are in `folder`."""
    accepted, responses = (folder / "accepted").read_bytes(), (folder / "responses").read_bytes()
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        with connection, suppress(ConnectionError):
            receive_pdu(connection, buffer)
            connection.sendall(accepted)
            while True:
                receive_pdu(connection, buffer)  # the command
                receive_pdu(connection, buffer)  # the identifier
                connection.sendall(responses)


class Requestor:
    """Asks, and counts the responses."""

    def __init__(self, port: int, called: str = "GATEWAY") -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._connection.makefile("rb", buffering=1 << 20)
        context = wire.Context(1, STUDY_FIND, (EXPLICIT,))
        self._connection.sendall(wire.associate_rq(called, "VIEWER", [context]))
        kind, body = self._pdu()
        assert kind == wire.ASSOCIATE_AC, kind
        self.accepted = wire.HEADER.pack(kind, len(body)) + body

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._file.read(6))
        return kind, self._file.read(length)

    def _request(self, identifier: bytes) -> bytes:
        command = wire.command_set(
            [
                (0x0002, STUDY_FIND.encode() + b"\0" * (len(STUDY_FIND) % 2)),
                (0x0100, struct.pack("<H", 0x0020)),
                (0x0110, struct.pack("<H", 1)),
                (0x0700, struct.pack("<H", 0)),
                (0x0800, struct.pack("<H", 1)),
            ]
        )
        return wire.p_data(1, wire.COMMAND | wire.LAST, command) + wire.p_data(1, wire.LAST, identifier)

    def ask(self, identifier: bytes, record: bytearray | None = None) -> tuple[int, float]:
        """(matches, seconds to the final response); `record` gets the responses as they came."""
        request = self._request(identifier)
        began_s = time.perf_counter()
        self._connection.sendall(request)
        matches = 0
        while True:
            kind, body = self._pdu()
            assert kind == wire.P_DATA, kind
            if record is not None:
                record += wire.HEADER.pack(kind, len(body)) + body
            at = 0
            while at < len(body):
                (length,) = struct.unpack_from(">I", body, at)
                if body[at + 5] & wire.COMMAND:
                    status = wire.us(wire.read_command(body[at + 6 : at + 4 + length]), 0x0900)
                    if status == 0x0000:
                        return matches, time.perf_counter() - began_s
                    assert status in (0xFF00, 0xFF01), hex(status)
                    matches += 1
                at += 4 + length

    def close(self) -> None:
        self._connection.sendall(wire.RELEASE_RQ_PDU)
        self._connection.close()


def identifier(**wanted: str) -> bytes:
    """The identifier: all studies, or those that have the values `wanted`; eleven attributes."""
    return IdentifierEncoder(EXPLICIT)(
        attributes(**{**dict.fromkeys(ASKED, ""), "QueryRetrieveLevel": "STUDY", **wanted})
    )


RULES: Mapping[str, Any] = {
    "peers": {name: {"ae_title": name.upper(), "may": ["find"]} for name in ("viewer", "gateway")},
    "unmatched": "hold",
    "query_retrieve": {"sources": ["local"]},
}
GATEWAY, STOCK = "gateway, from its index", "stock pynetdicom SCP, data sets made beforehand"
FEDERATED = "gateway, from its index and a source (the other gateway), merged"
DCMQRSCP, ORTHANC = "dcmtk dcmqrscp, TCP_NODELAY=1", "Orthanc 1.10, TCP_NODELAY=1"
RECORDED = "the gateway's responses, recorded (the requestor itself)"
BARS = {STOCK: 10.0, DCMQRSCP: 1.0, ORTHANC: 1.0}
MATCHES_OF = {DCMQRSCP: 500}
"""dcmqrscp holds 500 studies at most (`DB_UpperMaxStudies`) and deletes others; its matches a second are compared."""


def in_front(source: GatewayProcess) -> Mapping[str, Any]:
    """Rules of a gateway that holds nothing itself."""
    peer = {"source": {"ae_title": "GATEWAY", "address": f"127.0.0.1:{source.port}"}}
    return {**RULES, "peers": {**RULES["peers"], **peer}, "query_retrieve": {"sources": ["local", "source"]}}


async def run(root: Path, rounds: int) -> tuple[str, bool]:
    """The section of the page, and whether the bars are reached."""
    load_average = os.getloadavg()[0]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        folder = await enter(scratch(root))
        gateway = await enter(GatewayProcess(folder / "gateway", RULES))
        archive = await enter(QRSCP(folder / "qrscp"))
        orthanc = await enter(Orthanc(folder / "orthanc", settings={"DicomAlwaysAllowFind": True}))
        paths = [write_object(folder / f"{at}.dcm", study(at)) for at in range(MATCHES)]
        for holder, count in ((gateway, MATCHES), (archive, MATCHES_OF[DCMQRSCP]), (orthanc, MATCHES)):
            stored = await storescu(holder.port, paths[:count], called=holder.ae_title)
            assert stored.returncode == 0, stored.output
        federated = await enter(GatewayProcess(folder / "federated", in_front(gateway)))
        stock = await enter(Answerer(folder / "stock.log"))
        targets = {
            GATEWAY: _Target(Requestor(gateway.port), [gateway]),
            FEDERATED: _Target(Requestor(federated.port), [federated, gateway]),
            DCMQRSCP: _Target(Requestor(archive.port, archive.ae_title), [archive]),
            ORTHANC: _Target(Requestor(orthanc.port, orthanc.ae_title), [orthanc]),
            STOCK: _Target(Requestor(stock.port), [stock]),
        }
        await asyncio.to_thread(_record, targets[GATEWAY].requestor, folder)
        recorded = await enter(Answerer(folder / "replay.log", "--replay", str(folder)))
        targets[RECORDED] = _Target(Requestor(recorded.port), [recorded])
        seconds_a_match = await asyncio.to_thread(_by_turns, targets, rounds)
        spent_us = {name: 1e6 * target.spent_s / target.matches for name, target in targets.items()}
    return _section(seconds_a_match, spent_us, rounds, load_average)


@dataclass(slots=True)
class _Target:
    """One that is asked, with the processes that answer."""

    requestor: Requestor
    daemons: Sequence[Daemon]
    spent_s: float = 0.0
    """Processor time of these, in all questions, and the matches that they gave."""
    matches: int = 0

    def ask(self) -> tuple[int, float]:
        """As `Requestor.ask`."""
        used_s = sum(tree_cpu_seconds(each.pid) for each in self.daemons)
        matches, took_s = self.requestor.ask(identifier())
        self.spent_s += sum(tree_cpu_seconds(each.pid) for each in self.daemons) - used_s
        self.matches += matches
        return matches, took_s


def _record(requestor: Requestor, folder: Path) -> None:
    responses = bytearray()
    requestor.ask(identifier(), responses)
    (folder / "accepted").write_bytes(requestor.accepted)
    (folder / "responses").write_bytes(responses)


def _by_turns(targets: Mapping[str, _Target], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in targets}
    for turn in range(rounds + 1):  # the first is for warming up
        for name, target in list(targets.items())[:: 1 if turn % 2 else -1]:
            matches, took_s = target.ask()
            assert matches == MATCHES_OF.get(name, MATCHES), (name, matches)
            seconds[name].append(took_s / matches)
    for target in targets.values():
        target.requestor.close()
    return {name: found[1:] for name, found in seconds.items()}


def _section(
    seconds_a_match: Mapping[str, Sequence[float]], spent_us: Mapping[str, float], rounds: int, load_average: float
) -> tuple[str, bool]:
    bars = []
    for name, limit in BARS.items():
        pairs = zip(seconds_a_match[name], seconds_a_match[GATEWAY], strict=True)
        times = statistics.median(theirs / ours for theirs, ours in pairs)
        bars.append(Bar(f"C-FIND of 1 000 studies, matches a second, against {name}", times, limit, "times"))
    rows = []
    for name, found in seconds_a_match.items():
        took, matches = statistics.median(found), MATCHES_OF.get(name, MATCHES)
        rows.append([name, str(matches), f"{number(took * matches * 1000)} ms", f"{number(1 / took)}/s"])
        rows[-1].append(f"{number(spent_us[name])} µs")
    text = f"{MATCHES} studies, eleven attributes each; median of {rounds} rounds by turns, ratios of the same round; "
    text += f"load average before it {load_average:.1f}; {machine()}.\n\n"
    text += (
        table(
            ["who answers", "matches", "until the final response", "matches a second", "processor time a match"], rows
        )
        + "\n\n"
    )
    text += table(["bar", "required", "measured", ""], [bar.row() for bar in bars])
    return text, all(bar.is_reached for bar in bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--serve", type=int, default=0, metavar="PORT", help="Be the stock SCP.")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="Serve what was recorded instead.")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    if arguments.replay:
        replay(arguments.serve, arguments.replay)
    if arguments.serve:
        serve(arguments.serve)
    text, is_reached = asyncio.run(run(arguments.folder, arguments.rounds))
    print(text)
    if arguments.write:
        write_section("find", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
