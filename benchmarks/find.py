"""C-FIND of 1 000 studies: `python -m benchmarks.find [--write]`.

The gateway answers from its index, and another one with that one as its source; stock pynetdicom yields data sets that
were made beforehand. One requestor made of bytes asks each by turns and only counts responses. `--write` puts the
figures into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.query.identifier import IdentifierEncoder
from tests.support.gateway_process import GatewayProcess
from tests.support.identifiers import CT, EXPLICIT, attributes
from tests.support.load import wire
from tests.support.load.measure import machine
from tests.support.load.report import Bar, number, table, write_section
from tests.support.load.scratch import scratch
from tests.support.peers import storescu
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


class StockFind(Daemon):
    """Stock pynetdicom as a C-FIND SCP."""

    name = "pynetdicom"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "stock.log")
        self.port = free_port()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.find", "--serve", str(self.port)]

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


class Requestor:
    """Asks, and counts the responses."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._connection.makefile("rb", buffering=1 << 20)
        context = wire.Context(1, STUDY_FIND, (EXPLICIT,))
        self._connection.sendall(wire.associate_rq("GATEWAY", "VIEWER", [context]))
        kind, _ = self._pdu()
        assert kind == wire.ASSOCIATE_AC, kind

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._file.read(6))
        return kind, self._file.read(length)

    def ask(self, identifier: bytes) -> tuple[int, float]:
        """(matches, seconds to the final response)."""
        command = wire.command_set(
            [
                (0x0002, STUDY_FIND.encode() + b"\0" * (len(STUDY_FIND) % 2)),
                (0x0100, struct.pack("<H", 0x0020)),
                (0x0110, struct.pack("<H", 1)),
                (0x0700, struct.pack("<H", 0)),
                (0x0800, struct.pack("<H", 1)),
            ]
        )
        request = wire.p_data(1, wire.COMMAND | wire.LAST, command) + wire.p_data(1, wire.LAST, identifier)
        began_s = time.perf_counter()
        self._connection.sendall(request)
        matches = 0
        while True:
            kind, body = self._pdu()
            assert kind == wire.P_DATA, kind
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


def identifier() -> bytes:
    """The identifier: all studies, eleven attributes."""
    return IdentifierEncoder(EXPLICIT)(attributes(**{**dict.fromkeys(ASKED, ""), "QueryRetrieveLevel": "STUDY"}))


RULES: Mapping[str, Any] = {
    "peers": {name: {"ae_title": name.upper(), "may": ["find"]} for name in ("viewer", "gateway")},
    "unmatched": "hold",
    "query_retrieve": {"sources": ["local"]},
}
GATEWAY, STOCK = "gateway, from its index", "stock pynetdicom SCP, data sets made beforehand"
FEDERATED = "gateway, from its index and a source (the other gateway), merged"


def in_front(source: GatewayProcess) -> Mapping[str, Any]:
    """Rules of a gateway that holds nothing itself."""
    peer = {"source": {"ae_title": "GATEWAY", "address": f"127.0.0.1:{source.port}"}}
    return {**RULES, "peers": {**RULES["peers"], **peer}, "query_retrieve": {"sources": ["local", "source"]}}


async def run(root: Path, rounds: int) -> tuple[str, bool]:
    """The section of the page, and whether the bar is reached."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(scratch(root))
        gateway = await stack.enter_async_context(GatewayProcess(folder / "gateway", RULES))
        stock = await stack.enter_async_context(StockFind(folder))
        federated = await stack.enter_async_context(GatewayProcess(folder / "federated", in_front(gateway)))
        stored = await storescu(gateway.port, [write_object(folder / f"{at}.dcm", study(at)) for at in range(MATCHES)])
        assert stored.returncode == 0, stored.output
        ports = {GATEWAY: gateway.port, FEDERATED: federated.port, STOCK: stock.port}
        seconds = await asyncio.to_thread(_by_turns, ports, rounds)
    return _section(seconds, rounds)


def _by_turns(ports: Mapping[str, int], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ports}
    requestors = {name: Requestor(port) for name, port in ports.items()}
    for _ in range(rounds + 1):  # the first is for warming up
        for name, requestor in requestors.items():
            matches, took_s = requestor.ask(identifier())
            assert matches == MATCHES, (name, matches)
            seconds[name].append(took_s)
    for requestor in requestors.values():
        requestor.close()
    return {name: found[1:] for name, found in seconds.items()}


def _section(seconds: Mapping[str, list[float]], rounds: int) -> tuple[str, bool]:
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    bar = Bar("C-FIND of 1 000 matches, against stock pynetdicom", medians[STOCK] / medians[GATEWAY], 5, "times")
    rows = [[name, f"{number(took * 1000)} ms", f"{number(MATCHES / took)}/s"] for name, took in medians.items()]
    text = f"{MATCHES} studies, eleven attributes each; median of {rounds} rounds by turns; {machine()}.\n\n"
    text += table(["who answers", "until the final response", "matches a second"], rows) + "\n\n"
    text += table(["bar", "required", "measured", ""], [bar.row()])
    return text, bar.is_reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--serve", type=int, default=0, metavar="PORT", help="Be the stock SCP.")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    text, is_reached = asyncio.run(run(arguments.folder, arguments.rounds))
    print(text)
    if arguments.write:
        write_section("find", text)
    sys.exit(not is_reached)


if __name__ == "__main__":
    main()
