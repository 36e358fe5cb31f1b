"""Stock pynetdicom as a test peer, to be run in a process of its own: `python -m tests.support.stock scp|scu …`.

Only the bytes that came over the wire are written; one file an object, named SOP Instance UID and number.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, build_context, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.support.corpus import Part10, read_part10
from tests.support.stock_defects import work_around


def no_delay(event: Any) -> None:
    """Stock pynetdicom leaves Nagle's algorithm on, which costs 40 ms a message."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def scp(arguments: argparse.Namespace) -> None:
    """Accept every storage class, unknown ones too (or `--only` some), and answer `--status`."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    numbers = itertools.count()
    _config.UNRESTRICTED_STORAGE_SERVICE = not arguments.only
    _config.LOG_HANDLER_LEVEL = "none"

    def store(event: Any) -> int:
        status: int = arguments.status
        time.sleep(arguments.delay)
        if status == 0x0000 or status >> 12 == 0xB:
            name = f"{event.request.AffectedSOPInstanceUID}.{next(numbers)}.dcm"
            (folder / f".{name}").write_bytes(event.encoded_dataset())
            (folder / f".{name}").rename(folder / name)
        return status

    ae = AE(ae_title=arguments.ae_title)
    ae.maximum_associations = 50
    ae.add_supported_context(Verification)
    for uid in arguments.only:
        ae.add_supported_context(uid, arguments.transfer_syntax or ALL_TRANSFER_SYNTAXES)
    ae.start_server(
        ("127.0.0.1", arguments.port),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, store), (evt.EVT_CONN_OPEN, no_delay)],
    )
    threading.Event().wait()


def scu(arguments: argparse.Namespace) -> None:
    """Send Part 10 files, each in its own transfer syntax; one line a file: status (hex) or the error, and its path."""
    parts: list[Part10] = []
    for path in arguments.paths:
        try:
            parts.append(read_part10(path))
        except ValueError as error:
            print(f"unreadable: {error}\t{path}")
    kinds = sorted({(part.sop_class_uid, part.transfer_syntax_uid) for part in parts})
    _config.LOG_HANDLER_LEVEL = "none"
    _config.STORE_SEND_CHUNKED_DATASET = arguments.raw
    for start in range(0, len(kinds), 128):
        batch = kinds[start : start + 128]
        _send(arguments, batch, [part for part in parts if (part.sop_class_uid, part.transfer_syntax_uid) in batch])


def _send(arguments: argparse.Namespace, kinds: list[tuple[str, str]], parts: list[Part10]) -> None:
    ae = AE(ae_title=arguments.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 300
    contexts = [build_context(UID(abstract), UID(transfer)) for abstract, transfer in kinds]
    handlers: list[Any] = [(evt.EVT_CONN_OPEN, no_delay)]
    title = arguments.called_ae_title
    association = ae.associate("127.0.0.1", arguments.port, contexts, ae_title=title, evt_handlers=handlers)
    for part in parts:
        if not association.is_established:  # none yet, or the last object cost us the association
            association = ae.associate("127.0.0.1", arguments.port, contexts, ae_title=title, evt_handlers=handlers)
        if not association.is_established:
            print(f"no presentation context was accepted, or no association\t{part.path}", flush=True)
            continue
        try:
            status = association.send_c_store(part.path if arguments.raw else dcmread(part.path))
            said = f"{status.Status:04X}" if "Status" in status else "the association was aborted"
        except Exception as error:  # the sender's own trouble is a result
            said = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(f"{said}\t{part.path}", flush=True)
    if association.is_established:
        association.release()


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("scp")
    server.set_defaults(call=scp)
    server.add_argument("--folder", type=Path, required=True)
    server.add_argument("--status", type=lambda text: int(text, 0), default=0)
    server.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    server.add_argument("--only", action="append", default=[], help="accept just this abstract syntax (repeatable)")
    server.add_argument("--transfer-syntax", action="append", default=[])
    client = commands.add_parser("scu")
    client.set_defaults(call=scu)
    client.add_argument("--called-ae-title", default="ANY-SCP")
    client.add_argument("--raw", action="store_true", help="send the file's bytes as they are")
    client.add_argument("paths", type=Path, nargs="+")
    for command in (server, client):
        command.add_argument("--port", type=int, required=True)
        command.add_argument("--ae-title", default="STOCK")
    arguments = parser.parse_args()
    work_around()
    arguments.call(arguments)


if __name__ == "__main__":
    main()
