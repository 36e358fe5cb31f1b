"""Every real object through the gateway, byte for byte: `python -m benchmarks.byte_exact` writes byte_exact.md.

A sender may change an object before it leaves (dcmtk and Orthanc parse and write it anew), and a receiver before it
stores it. So each sender first sends straight to each kind of receiver: a sink that takes everything and digests the
bytes as they come, which says what left the sender; dcmtk's `storescp +xa`, which parses and writes, and `+xa +B`,
which does not; and Orthanc. Then it sends the same to the gateway, which sends to one of each and to a folder. Equal
means the same SHA-256 of the data set as without the gateway; for the folder, the sink's.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.support.campaigns.byte_exact_page import FOLDER, ORTHANC, PLAIN, RAW, RECEIVERS, SINK, Tally, page
from tests.support.corpus import read_part10
from tests.support.load.scratch import scratch
from tests.support.load.sink import Sink
from tests.support.peers import (
    GatewayProcess,
    Modality,
    Orthanc,
    StoreSCP,
    corpus,
    dcmsend,
    stock_scu,
    stored,
    storescu,
)
from tests.support.processes import REPOSITORY, until
from tests.support.processes import run as run_program

PAGE = REPOSITORY / "benchmarks" / "byte_exact.md"

STORESCU_OPTIONS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}
"""The option with which storescu proposes a transfer syntax; it has one at a time."""

Digests = dict[str, str]
"""SOP Instance UID → SHA-256 of the data set."""
Send = Callable[[int, Sequence[Path]], Awaitable[str]]
"""Sends files to a port in their own transfer syntaxes; what the sender said."""


def digest(data_set: bytes) -> str:
    return hashlib.sha256(data_set).hexdigest()


# --- senders ----------------------------------------------------------------------------------------------------


async def send_with_storescu(port: int, paths: Sequence[Path]) -> str:
    """One run for each transfer syntax; `-R` proposes what the files need."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        try:
            groups.setdefault(STORESCU_OPTIONS.get(read_part10(path).transfer_syntax_uid, "-x="), []).append(path)
        except ValueError:
            groups.setdefault("-xi", []).append(path)  # it names none; what is proposed must not let the peer choose
    runs = [await storescu(port, files, options=[option, "-R", "-nh"]) for option, files in groups.items()]
    return "".join(finished.output for finished in runs)


async def send_with_dcmsend(port: int, paths: Sequence[Path]) -> str:
    return (await dcmsend(port, paths, options=["-dn", "-nh", "-nuc"])).output


async def send_with_stock(port: int, paths: Sequence[Path]) -> str:
    return (await stock_scu(port, paths)).output


class OrthancSender:
    """An Orthanc that is given a file over REST and sends it to one of its modalities."""

    def __init__(self, orthanc: Orthanc, modality_of: dict[int, str]) -> None:
        self.orthanc = orthanc
        self.modality_of = modality_of

    async def __call__(self, port: int, paths: Sequence[Path]) -> str:
        said = []
        for path in paths:
            try:
                answer = await self.orthanc.post("/instances", path.read_bytes())
                await self.orthanc.send(self.modality_of[port], [answer["ID"]])
                await self.orthanc.request("DELETE", f"/instances/{answer['ID']}")
            except RuntimeError as error:
                said.append(f"E: {path.name}: {_orthanc_reason(str(error))}")
        await _forget(self.orthanc)
        return "\n".join(said)


def _orthanc_reason(text: str) -> str:
    found = re.findall(r'"(?:Details|Message)" : "([^"]*)"', text)
    return " ".join(found) if found else text


async def _forget(orthanc: Orthanc) -> None:
    for patient in await orthanc.get("/patients"):
        await orthanc.request("DELETE", f"/patients/{patient}")


# --- receivers --------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Digests:
    """What lies in a folder; it is emptied."""
    found = {}
    for path in stored(folder):
        part = read_part10(path)
        found[part.sop_instance_uid] = digest(part.data_set)
        path.unlink()
    return found


def read_sink(peer: Sink | StoreSCP) -> Digests:
    """What a sink counted; it starts anew."""
    assert isinstance(peer, Sink)
    found: dict[str, list[str]] = peer.ask("objects")["objects"]
    peer.ask("clear")
    return {uid: digests[-1] for uid, digests in found.items()}


async def read_orthanc(orthanc: Orthanc, scratch_file: Path) -> Digests:
    """What Orthanc holds; it is emptied."""
    found = {}
    for instance in await orthanc.instances():
        scratch_file.write_bytes(await orthanc.file(instance))
        part = read_part10(scratch_file)
        found[part.sop_instance_uid] = digest(part.data_set)
    await _forget(orthanc)
    return found


class Campaign:
    """The peers, started once; `run` sends the corpus with one sender."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Campaign:
        start = self._stack.enter_async_context
        self.orthanc = await start(Orthanc(self.folder / "orthanc"))
        self.direct = await self._receivers("direct")
        self.behind = await self._receivers("behind")
        self.files = self.folder / "files"
        self.gateway = await start(GatewayProcess(self.folder / "gateway", self._rules()))
        ports = {f"direct{number}": peer.port for number, peer in enumerate(self.direct.values())}
        ports |= {"orthanc": self.orthanc.port, "gateway": self.gateway.port}
        modalities = {name: Modality(name.upper(), port) for name, port in ports.items()}
        sender = await start(Orthanc(self.folder / "sender", modalities=modalities))
        self.senders: dict[str, Send] = {
            "storescu": send_with_storescu,
            "dcmsend": send_with_dcmsend,
            "stock pynetdicom": send_with_stock,
            "Orthanc": OrthancSender(sender, {port: name for name, port in ports.items()}),
        }
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def _receivers(self, where: str) -> dict[str, Sink | StoreSCP]:
        """One of each kind that is not shared."""
        start = self._stack.enter_async_context
        return {
            SINK: await start(Sink(self.folder / f"{where}-sink.log", digest=True)),
            RAW: await start(StoreSCP(self.folder / f"{where}-raw")),
            PLAIN: await start(StoreSCP(self.folder / f"{where}-plain", bit_preserving=False)),
        }

    def _rules(self) -> dict[str, Any]:
        retry = {"retry": {"first": "100 ms", "max": "1 s", "give_up_after": "10 min"}}
        places = {"sink": self.behind[SINK], "raw": self.behind[RAW], "plain": self.behind[PLAIN]}
        peers: dict[str, Any] = {
            name: {
                "ae_title": peer.ae_title,
                "address": f"127.0.0.1:{peer.port}",
                "delivery": {"associations": 1, **retry},  # storescp serves one association at a time
                "timers": {"dimse": "3 s"},  # Orthanc falls silent over a data set that it cannot parse
            }
            for name, peer in {**places, "orthanc": self.orthanc}.items()
        }
        peers["files"] = {"folder": {"path": f"{self.files}/{{{{ SOPInstanceUID }}}}.dcm"}}
        routes = [{"name": "everything everywhere", "to": list(peers)}]
        return {"peers": peers, "routes": routes, "unmatched": "reject"}

    async def run(self, sender: str, paths: Iterable[Path]) -> Tally:
        """Send all files, in waves in which no SOP Instance UID comes twice."""
        counters = Tally(sender)
        for wave in waves(paths):
            await self._wave(counters, self.senders[sender], wave)
        return counters

    async def _wave(self, counters: Tally, send: Send, wave: Sequence[Path]) -> None:
        counters.offered += len(wave)
        for peer in self.direct.values():
            await send(peer.port, wave)
        await send(self.orthanc.port, wave)
        without = await self._collect(self.direct)
        without[FOLDER] = without[SINK]
        buried = await self._owed("dead")
        await send(self.gateway.port, wave)
        hopeless = sum(uid not in digests for digests in without.values() for uid in without[SINK])
        await self._settled(buried, hopeless)
        behind = await self._collect(self.behind)
        behind[FOLDER] = read_folder(self.files)
        for path in wave:
            await self._count(counters, send, path, without, behind)

    async def _owed(self, state: str) -> float:
        return await self.gateway.metric("gateway_queue_deliveries", state=state)

    async def _settled(self, buried: float, hopeless: int) -> None:
        """Wait until nothing is owed but what a receiver does not take from the sender either; forget that."""

        async def is_settled() -> bool:
            return await self._owed("pending") + await self._owed("dead") - buried <= hopeless

        await until(is_settled, 120.0, f"all but {hopeless} deliveries")
        while await self._owed("pending"):
            command = [sys.executable, "-m", "gateway", "queue", "discard", "--state", "pending", "--yes"]
            await run_program([*command, "--rules", self.gateway.rules_folder])

    async def _collect(self, peers: dict[str, Sink | StoreSCP]) -> dict[str, Digests]:
        """What each receiver got; all are empty afterwards."""
        found = {ORTHANC: await read_orthanc(self.orthanc, self.folder / "scratch.dcm")}
        for name, peer in peers.items():
            found[name] = read_sink(peer) if isinstance(peer, Sink) else read_folder(peer.folder)
        return found

    async def _count(
        self, counters: Tally, send: Send, path: Path, without: dict[str, Digests], behind: dict[str, Digests]
    ) -> None:
        uid = next((uid for uid in _uids(path) if uid in without[SINK]), None)
        if uid is None:
            counters.not_sent[path] = await self._why(send, path, self.direct[SINK].port)
            return
        counters.sent += 1
        data = _data_set(path)
        counters.unchanged += digest(data) == without[SINK][uid]
        if not any(uid in digests for digests in behind.values()):
            counters.refused[path] = await self._why(send, path, self.gateway.port)
            return
        for receiver in RECEIVERS:
            expected, found = without[receiver].get(uid), behind[receiver].get(uid)
            counters.without[receiver] += expected is not None
            counters.arrived[receiver] += found is not None
            if found is not None and expected == digest(data) and found == digest(data + b"\0") and len(data) % 2:
                found = expected  # a zero follows what is odd: presentation data values have even lengths
            counters.equal[receiver] += found is not None and found == expected
            if expected and found != expected:
                counters.differing.append((path, receiver, "other bytes" if found else "did not arrive"))
            if found and not expected:
                counters.only_through_us.append((path, receiver))

    async def _why(self, send: Send, path: Path, port: int) -> str:
        """What the sender says when it is to send this file alone."""
        said = await send(port, [path])
        others = read_sink(self.direct[SINK])
        return f"sent as {', '.join(others)}" if others else reason(path, said)


def _data_set(path: Path) -> bytes:
    """The data set of a file; all of it when it has no file meta information."""
    try:
        return read_part10(path).data_set
    except ValueError:
        return path.read_bytes()


def _uids(path: Path) -> list[str]:
    """SOP Instance UID of the file meta information, and of the data set when that is another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the files are broken on purpose
        data_set = dcmread(path, force=True, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        meta = data_set.file_meta.get("MediaStorageSOPInstanceUID") if hasattr(data_set, "file_meta") else None
        return [str(uid) for uid in (meta, data_set.get("SOPInstanceUID")) if uid]


def waves(paths: Iterable[Path]) -> list[list[Path]]:
    """Split files so that no SOP Instance UID comes twice in one wave."""
    seen: Counter[str] = Counter()
    found: dict[int, list[Path]] = {}
    for path in paths:
        uids = _uids(path) or [str(path)]
        found.setdefault(max(seen[uid] for uid in uids), []).append(path)
        seen.update(set(uids))
    return [found[number] for number in sorted(found)]


SAID = (
    r"^E: (?!Store Failed|\s*$)(.*)",
    r"^W: (missing SOP class.*)",
    r"^F: (.*)",
    r"^W: (.*)",
    r"^(?!0000)(.*)\t",
)
"""Lines of a sender that say why, the best first."""


def reason(path: Path, said: str) -> str:
    """Why a file was not sent, from what the sender said of it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for pattern in (
        r"^W: (missing SOP class.*)",
        r"^E: (?!Store Failed|\s*$)(.*)",
        r"^F: (.*)",
        r"^W: (.*)",
        r"^(?!0000)(.*)\t",
    ):
        found = [match[1] for line in lines if (match := re.match(pattern, line))]
        if found:
            return re.sub(rf"\S*{re.escape(path.name)}\S*", "the file", found[0]).replace("|", "/")
    return "the sender says nothing"


async def run(senders: Sequence[str], paths: Sequence[Path], root: Path) -> list[Tally]:
    """The campaign for some senders."""
    async with scratch(root) as folder, Campaign(folder) as campaign:
        return [await campaign.run(sender, paths) for sender in senders]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sender", action="append", help="repeatable; default: all")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "var" / "benchmarks")
    arguments = parser.parse_args()
    senders = arguments.sender or ["storescu", "dcmsend", "stock pynetdicom", "Orthanc"]
    paths = corpus()
    tallies = asyncio.run(run(senders, paths, arguments.folder))
    text = page((__doc__ or "").split("\n\n", 1)[1].strip(), tallies, paths)
    print(text)
    if not arguments.sender:
        PAGE.write_text(text)
    sys.exit(not all(counters.is_exact for counters in tallies))


if __name__ == "__main__":
    main()
