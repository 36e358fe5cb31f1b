"""The gateway between implementations by others: `python -m benchmarks.interoperability [--write]`.

As destinations, with nothing but title and address in the rules, and as senders, with the settings that each has by
default. Objects are the native (uncompressed) ones among the files that installed packages ship. A destination is asked
for what the gateway acknowledged; what did not arrive there is sent to it again by `dcmsend`, straight, which says
whether it would take the object at all. A sender is asked for what a sink that takes everything got from it.

`--write` writes docs/peers.md. Exit code 1: something was lost between a peer and us that arrives without us.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from tests.support.corpus import Part10, corpus, read_part10
from tests.support.foreign.programs import PYNETDICOM_2, missing, receiver_command, send
from tests.support.load.report import table
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.peers import FolderSCP, GatewayProcess, Modality, Orthanc, dcmsend, stock_scu
from tests.support.processes import REPOSITORY, run

PAGE = REPOSITORY / "docs" / "peers.md"
NATIVE = {"1.2.840.10008.1.2": "implicit", "1.2.840.10008.1.2.1": "explicit", "1.2.840.10008.1.2.2": "big endian"}
LARGEST_BYTES = 2 * 1024**2
RECEIVERS = ("storescp", "storescp +xi", "CTN", "odil", "PixelMed", "dcmjs-dimse", "pynetdicom 2", "pynetdicom 3")
SENDERS = ("storescu", "dcmsend", "CTN", "odil", "PixelMed", "dcmjs-dimse", "pynetdicom 2", "pynetdicom 3")
ORTHANC = "Orthanc"
PLAIN_ORTHANC = {
    "AcceptedTransferSyntaxes": ["1.2.840.10008.1.*"],
    "UnknownSopClassAccepted": False,
    "TranscodeDicomProtocol": True,
}
"""What Orthanc does when its configuration names none of these."""
LISTENS = "0A"
"""A state in Linux's table of sockets."""
GRACE_S = 90.0
"""Between the last attempt of a delivery and giving up on it."""


class Receiver(FolderSCP):
    """A storage SCP of another implementation."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, ae_title=title_of(name))
        self.name = name

    def launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.name == "CTN":
            (self.folder / self.ae_title).mkdir(exist_ok=True)
        super().launch()

    async def is_ready(self) -> bool:
        """Asked of the system: some end with a connection that brings no association."""
        wanted = f":{self.port:04X}"
        tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
        return any(line.split()[1].endswith(wanted) and line.split()[3] == LISTENS for line in tables.splitlines())

    def command(self) -> list[str]:
        return receiver_command(self.name, self.port, self.ae_title, self.folder)

    def uids(self) -> set[str]:
        """SOP Instance UIDs of what it holds."""
        return {uid for path in self.files() if (uid := uid_of(path))}


@dataclass(slots=True)
class Row:
    """What became of the objects at one peer."""

    name: str
    offered: int = 0
    arrived: int = 0
    not_taken: dict[str, str] = field(default_factory=dict)
    """File → why; the peer does not take it from anybody else either."""
    lost: dict[str, str] = field(default_factory=dict)
    """File → what the gateway says; it arrives without the gateway."""


def title_of(name: str) -> str:
    """An AE title."""
    return name.upper().replace(" ", "_").replace("+", "")[:16]


def uid_of(path: Path) -> str:
    """SOP Instance UID of a file, whatever its form; empty when there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(dcmread(path, force=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID", ""))
    except Exception:  # a file that is being written
        return ""


def native_objects() -> list[Part10]:
    """Native objects of storage SOP classes, one of each SOP Instance UID."""
    found: dict[str, Part10] = {}
    for path in corpus():
        if path.stat().st_size > LARGEST_BYTES:
            continue
        try:
            part10 = read_part10(path)
        except ValueError:
            continue
        if part10.transfer_syntax_uid in NATIVE and UID(part10.sop_class_uid).is_valid:
            found.setdefault(part10.sop_instance_uid, part10)
    return list(found.values())


# --- destinations -----------------------------------------------------------------------------------------------


async def destinations(
    folder: Path, objects: Sequence[Part10], names: Sequence[str]
) -> tuple[list[Row], dict[str, str]]:
    """Everything to every receiver. Also: file → why, of what the gateway refused."""
    async with AsyncExitStack() as running:
        receivers = [await running.enter_async_context(Receiver(folder / title_of(name), name)) for name in names]
        orthanc = await running.enter_async_context(Orthanc(folder / "orthanc", settings=PLAIN_ORTHANC))
        everybody: list[Receiver | Orthanc] = [*receivers, orthanc]
        peers = {
            title_of(peer.name): {
                "ae_title": peer.ae_title,
                "address": f"127.0.0.1:{peer.port}",
                "delivery": {"retry": {"first": "200 ms", "max": "1 s", "give_up_after": "60 s"}},
            }
            for peer in everybody
        }
        rules = {"peers": peers, "routes": [{"name": "all", "to": list(peers)}], "unmatched": "reject"}
        gateway = await running.enter_async_context(GatewayProcess(folder / "gateway", rules))
        said = await stock_scu(gateway.port, [part10.path for part10 in objects])
        taken = [part10 for part10 in objects if f"0000\t{part10.path}" in said.output]
        await gateway.idle(GRACE_S * 4)
        refused = {
            part10.path.name: _refusal(gateway, part10.sop_instance_uid) for part10 in objects if part10 not in taken
        }
        return [await _row(peer, taken, gateway) for peer in everybody], refused


async def held_by(peer: Receiver | Orthanc) -> set[str]:
    """SOP Instance UIDs."""
    if isinstance(peer, Receiver):
        return peer.uids()
    tags = [await peer.get(f"/instances/{name}/simplified-tags") for name in await peer.instances()]
    return {str(each["SOPInstanceUID"]) for each in tags}


async def _row(peer: Receiver | Orthanc, taken: Sequence[Part10], gateway: GatewayProcess) -> Row:
    row = Row(peer.name, offered=len(taken))
    there = await held_by(peer)
    reasons = _reasons(gateway, title_of(peer.name))
    for part10 in taken:
        if part10.sop_instance_uid in there:
            row.arrived += 1
            continue
        await dcmsend(peer.port, [part10.path], called=peer.ae_title, options=["-nuc"])
        has_arrived = part10.sop_instance_uid in await held_by(peer)
        reason = reasons.get(part10.sop_instance_uid, "it answers Success, and keeps nothing")
        (row.lost if has_arrived else row.not_taken)[part10.path.name] = reason
    return row


def _reasons(gateway: GatewayProcess, destination: str) -> dict[str, str]:
    """SOP Instance UID → why it is not delivered."""
    rows = sqlite3.connect(f"file:{gateway.folder / 'gateway.db'}?mode=ro", uri=True)
    try:
        found = rows.execute(
            "SELECT sop_instance_uid, state || ': ' || reason FROM delivery JOIN instance USING (instance_id) "
            "WHERE destination = ? AND state <> 'delivered'",
            (destination,),
        )
        return dict(found.fetchall())
    finally:
        rows.close()


# --- senders ----------------------------------------------------------------------------------------------------


async def senders(folder: Path, objects: Sequence[Part10], names: Sequence[str]) -> list[Row]:
    """Every sender, straight to a sink and to the gateway."""
    async with AsyncExitStack() as running:
        sink = await running.enter_async_context(Sink(folder / "sink.log"))
        kept = folder / "kept"
        rules = {
            "peers": {
                "kept": {"folder": {"path": f"{kept}/{{{{ association.calling_ae_title }}}}/{{{{ SOPInstanceUID }}}}"}}
            },
            "routes": [{"name": "all", "to": ["kept"]}],
            "unmatched": "reject",
        }
        gateway = await running.enter_async_context(GatewayProcess(folder / "gateway", rules))
        modalities = {
            "SINK": Modality(sink.ae_title, sink.port),
            "GATEWAY": Modality(gateway.ae_title, gateway.port),
        }
        orthanc = await running.enter_async_context(
            Orthanc(folder / "orthanc", modalities=modalities, settings=PLAIN_ORTHANC)
        )
        paths = [part10.path for part10 in objects]
        rows = []
        for name in [*names, ORTHANC]:
            sink.ask("clear")
            calling = orthanc.ae_title if name == ORTHANC else title_of(name)
            for port, called in ((sink.port, sink.ae_title), (gateway.port, gateway.ae_title)):
                if name == ORTHANC:
                    await _from_orthanc(orthanc, "SINK" if port == sink.port else "GATEWAY", paths)
                else:
                    await send(name, port, calling, called, paths)
            await gateway.idle(GRACE_S)
            sent = set(sink.ask("objects")["objects"])
            here = {path.name for path in (kept / calling).glob("*")}
            names_of = {part10.sop_instance_uid: part10.path.name for part10 in objects}
            row = Row(name, offered=len(sent), arrived=len(sent & here))
            for uid in sent - here:
                reason = _refusal(gateway, uid)
                (row.not_taken if reason else row.lost)[names_of.get(uid, uid)] = reason or "the log does not name it"
            rows.append(row)
        return rows


def _refusal(gateway: GatewayProcess, uid: str) -> str:
    """What the sender was answered, and why; empty when it was not refused."""
    found = [line for line in gateway.events() if uid in line.values() and "reason" in line]
    return f"{found[-1].get('status', '')} {found[-1]['reason']}" if found else ""


async def _from_orthanc(orthanc: Orthanc, modality: str, paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            answer = await orthanc.post("/instances", path.read_bytes())
            await orthanc.send(modality, [answer["ID"]])
        except (RuntimeError, KeyError, TypeError):
            continue


# --- the page ---------------------------------------------------------------------------------------------------

HEAD = """\
# Peers by others

What `python -m benchmarks.interoperability --write` found. Senders and destinations have the settings that they have by
default; the rules name title and address of each destination and nothing else. The objects are native ones: {count}
files, of which {kinds}.

"""


def page(
    objects: Sequence[Part10],
    there: Sequence[Row],
    refused: Mapping[str, str],
    here: Sequence[Row],
    versions: Mapping[str, str],
) -> str:
    """Markdown."""
    counts = [f"{sum(o.transfer_syntax_uid == uid for o in objects)} {name}" for uid, name in NATIVE.items()]
    parts = [HEAD.format(count=len(objects), kinds=", ".join(counts))]
    head = ["destination", "version", "acknowledged by the gateway", "arrived", "taken from nobody", "lost"]
    parts.append("## Destinations\n\n" + table(head, [_cells(row, versions) for row in there]))
    parts.append(
        '\n\n"Taken from nobody": after dcmtk\'s dcmsend sent it straight, converted where it must be, the '
        "destination does not have it either.\n"
    )
    parts += [_listed(row) for row in there]
    parts.append("\nThe gateway refused these, when they were sent to it as they are:\n\n")
    parts += [f"- {name}: {why}\n" for name, why in sorted(refused.items())]
    head = [
        "sender",
        "version",
        "sent, as a sink that takes everything counts",
        "kept by the gateway",
        "refused",
        "lost",
    ]
    parts.append("\n## Senders\n\n" + table(head, [_sender_cells(row, versions) for row in here]) + "\n")
    parts += [_listed(row) for row in here]
    absent = missing()
    if absent:
        parts.append("\nNot installed, and not tried: " + "; ".join(f"{k} ({v})" for k, v in absent.items()) + ".\n")
    return "".join(parts)


def _cells(row: Row, versions: Mapping[str, str]) -> list[str]:
    return [row.name, versions.get(row.name, ""), str(row.offered), str(row.arrived), *_trouble(row)]


def _sender_cells(row: Row, versions: Mapping[str, str]) -> list[str]:
    return [row.name, versions.get(row.name, ""), str(row.offered), str(row.arrived), *_trouble(row)]


def _trouble(row: Row) -> list[str]:
    return [str(len(row.not_taken)), str(len(row.lost))]


def _listed(row: Row) -> str:
    lines = [f"- {row.name}, not taken: {name}: {why}\n" for name, why in sorted(row.not_taken.items())]
    lines += [f"- {row.name}, **lost**: {name}: {why}\n" for name, why in sorted(row.lost.items())]
    return "\n" + "".join(lines) if lines else ""


VERSIONS = {
    "storescp": ["dpkg-query", "-Wf", "${Version}", "dcmtk"],
    "storescp +xi": ["dpkg-query", "-Wf", "${Version}", "dcmtk"],
    "storescu": ["dpkg-query", "-Wf", "${Version}", "dcmtk"],
    "dcmsend": ["dpkg-query", "-Wf", "${Version}", "dcmtk"],
    "CTN": ["dpkg-query", "-Wf", "${Version}", "ctn"],
    "odil": ["dpkg-query", "-Wf", "${Version}", "odil"],
    "PixelMed": ["dpkg-query", "-Wf", "${Version}", "libpixelmed-java"],
    ORTHANC: ["dpkg-query", "-Wf", "${Version}", "orthanc"],
    "dcmjs-dimse": ["node", "-p", "require((process.env.DCMJS_DIMSE || 'dcmjs-dimse') + '/package.json').version"],
}


async def found_versions() -> dict[str, str]:
    """Implementation → version."""
    print_version = "import pynetdicom; print(pynetdicom.__version__)"
    commands = {
        **VERSIONS,
        "pynetdicom 2": [os.environ.get(PYNETDICOM_2, ""), "-c", print_version],
        "pynetdicom 3": [sys.executable, "-c", print_version],
    }
    absent = missing()
    return {
        name: (await run(command)).output.strip().splitlines()[-1]
        for name, command in commands.items()
        if name not in absent
    }


async def measure(arguments: argparse.Namespace) -> int:
    """Run all of it, and print or write the page."""
    absent = missing()
    objects = native_objects()[: arguments.most]
    there_names = [name for name in RECEIVERS if name not in absent]
    here_names = [name for name in SENDERS if name not in absent]
    async with scratch(arguments.folder) as folder:
        there, refused = await destinations(folder / "there", objects, there_names)
        here = await senders(folder / "here", objects, here_names)
    text = page(objects, there, refused, here, await found_versions())
    if arguments.write:
        PAGE.write_text(text)
    print(text)
    return 1 if any(row.lost for row in [*there, *here]) else 0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/peers.md")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    parser.add_argument("--most", type=int, help="how many objects; all by default")
    sys.exit(asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
