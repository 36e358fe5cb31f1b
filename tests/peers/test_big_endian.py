"""Destinations that take Explicit VR Big Endian alone (PS3.5 §A.3): deliveries and C-MOVE sub-operations, read by
pydicom.

Every VR that is swapped in a way of its own, in the data set, in sequences and in private elements; from Explicit VR,
Implicit VR and Deflated Explicit VR Little Endian; small, and large enough for a file of its own in the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE

from gateway.query.attributes import QUERY_RETRIEVE_LEVEL, STUDY_INSTANCE_UID
from tests.support.foreign.programs import PYNETDICOM_2
from tests.support.peers import FolderSCP, GatewayProcess, Orthanc, StockSCP, StoreSCP
from tests.support.processes import until
from tests.support.retrieving import Moving, counters, elements

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
SIZES = {"small": 64, "large": 1024}
"""Rows and columns, of 16 bits each."""
OBJECTS = {f"{form} {size}": (form, size) for form in SYNTAXES for size in SIZES}
STUDY = "1.2.826.0.1.3680043.8.498.77.1"
SWAPPED = {"OW": "2", "OF": "4", "OL": "4", "OD": "8", "OV": "8"}
"""VR → bytes of one value (PS3.5 §7.3); pydicom gives them as they stand."""


def uid_of(name: str) -> str:
    return f"{STUDY}.2.{list(OBJECTS).index(name) + 1}"


def numbers(letter: str, *values: Any) -> bytes:
    return struct.pack(f"<{len(values)}{letter}", *values)


def each_vr(dataset: Dataset, group: int, first: int) -> None:
    """One element of each VR whose values have a byte order, and of some that have none."""
    values: Mapping[str, Any] = {
        "AT": [0x00200032, 0x7FE00010],
        "FD": [1.5, -2.25e300],
        "FL": [0.5, -3.0],
        "IS": "12",
        "LO": "Straße",
        "OB": b"\x01\x02\x03\x04",
        "OD": numbers("d", 1.25, -7.5),
        "OF": numbers("f", 1.25, -7.5),
        "OL": numbers("I", 1, 0x01020304),
        "OV": numbers("Q", 1, 0x0102030405060708),
        "OW": numbers("H", 0x0102, 0xFFFE, 3),
        "SL": [-2, 0x01020304],
        "SS": [-2, 0x0102],
        "SV": [-2, 0x0102030405060708],
        "UC": "any length",
        "UL": [2, 0x01020304],
        "UN": b"\x01\x02\x03\x04",
        "US": [2, 0x0102],
        "UT": "text",
        "UV": [2, 0x0102030405060708],
    }
    for number, (vr, value) in enumerate(values.items()):
        dataset.add_new(group << 16 | first + number, vr, value)


def made(name: str) -> Dataset:
    """An object of the table, in its own transfer syntax."""
    form, size = OBJECTS[name]
    side = SIZES[size]
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, uid_of(name)
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    image.PatientID, image.PatientName, image.Modality = "BIG", "Groß^Ändian", "CT"
    image.DimensionIndexSequence = [Dataset()]
    image.DimensionIndexSequence[0].DimensionIndexPointer = 0x00200032
    image.DimensionIndexSequence[0].FunctionalGroupPointer = 0x00209113
    image.SelectorATValue = [0x00080018, 0x7FE00010]
    image.RealWorldValueMappingSequence = [Dataset(), Dataset()]
    for item in image.RealWorldValueMappingSequence:
        item.RealWorldValueSlope, item.LUTLabel = 1.5, "label"
        item.add_new(0x00409211, "SS", 7)
        item.add_new(0x00409216, "SS", -7)
    image.RealWorldValueMappingSequence[1].is_undefined_length_sequence_item = True
    image.PointCoordinatesData = numbers("f", 1.5, 2.5, -3.5)
    image.LongPrimitivePointIndexList = numbers("I", 1, 2, 0x01020304)
    image.Rows = image.Columns = side
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.add_new(0x00280106, "SS", -5)
    image.add_new(0x00090010, "LO", "SOME VENDOR")
    if form == "implicit":  # without VRs nobody knows what they are
        image.add_new(0x00091001, "UN", b"\x01\x02\x03\x04")
    else:
        each_vr(image, 0x0009, 0x1001)
        inner = Dataset()
        inner.add_new(0x00090010, "LO", "SOME VENDOR")
        each_vr(inner, 0x0009, 0x1001)
        image.add_new(0x00091080, "SQ", Sequence([inner, Dataset()]))
        image[0x00091080].is_undefined_length = True
    image.add_new(0x7FE00010, "OW", np.arange(side * side, dtype="<u2").tobytes())
    image.ensure_file_meta()
    image.file_meta.TransferSyntaxUID = SYNTAXES[form]
    return image


def differences(sent: Dataset, received: Dataset, place: str = "") -> list[str]:
    """Every element of a little endian data set that is another one in a big endian one."""
    found = [f"{place}{tag} is absent" for tag in sent.keys() - received.keys()]
    found += [f"{place}{tag} was added" for tag in received.keys() - sent.keys()]
    for tag in sorted(sent.keys() & received.keys()):
        one, other = sent[tag], received[tag]
        where = f"{place}{one.tag} {one.VR}"
        if one.VR != other.VR:
            found.append(f"{where}: came as {other.VR}")
        elif one.VR == "SQ":
            if len(one.value) != len(other.value):
                found.append(f"{where}: {len(other.value)} items")
            for number, (item, came) in enumerate(zip(one.value, other.value, strict=False)):
                found += differences(item, came, f"{where}[{number}] ")
        elif one.VR in SWAPPED:
            width = SWAPPED[one.VR]
            little, big = np.frombuffer(one.value, f"<u{width}"), np.frombuffer(other.value, f">u{width}")
            if not np.array_equal(little, big):
                found.append(where)
        elif one.value != other.value:
            found.append(f"{where}: {one.value!r} came as {other.value!r}")
    return found


class StockTwo(FolderSCP):
    """pynetdicom 2 in an environment of its own."""

    name = "pynetdicom 2"
    program = """
import pathlib, sys, threading
from pynetdicom import AE, evt
port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
def store(event):
    path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
    path.with_suffix(".part").write_bytes(event.encoded_dataset())
    path.with_suffix(".part").rename(path)
    return 0
ae = AE(sys.argv[3])
ae.add_supported_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.2")
ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
threading.Event().wait()
"""

    def command(self) -> list[str]:
        return [os.environ[PYNETDICOM_2], "-c", self.program, str(self.port), str(self.folder), self.ae_title]


PROFILE = r"""
[[TransferSyntaxes]]
[Big]
TransferSyntax1 = BigEndianExplicit
[[PresentationContexts]]
[Images]
PresentationContext1 = CTImageStorage\Big
[[Profiles]]
[Only]
PresentationContexts = Images
"""


class OnlyBig(StoreSCP):
    """dcmtk's storescp, which accepts Explicit VR Big Endian and nothing else."""

    name = "storescp, big endian alone"

    def command(self) -> list[str]:
        profile = self.folder / "profile.cfg"
        profile.write_text(PROFILE)
        command = super().command()
        return [command[0], "-xf", str(profile), "Only", *(word for word in command[1:] if word != "+xa")]

    def files(self) -> list[Path]:
        return [path for path in super().files() if path.suffix != ".cfg"]


@dataclass
class Site:
    gateway: GatewayProcess
    peers: dict[str, FolderSCP]
    orthanc: Orthanc

    async def got(self, name: str) -> dict[str, Dataset]:
        """By SOP Instance UID, what a peer has; it forgets it."""
        if name == "orthanc":
            datasets = [await self._of_orthanc(each) for each in await self._held()]
            return {str(one.SOPInstanceUID): one for one in datasets}
        found: dict[str, Dataset] = {}
        for path in self.peers[name].files():
            dataset = dcmread(path)
            found[str(dataset.SOPInstanceUID)] = dataset
            path.unlink()
        return found

    async def _held(self) -> list[str]:
        return await self.orthanc.instances()

    async def _of_orthanc(self, name: str) -> Dataset:
        dataset = dcmread(BytesIO(await self.orthanc.file(name)))
        await self.orthanc.request("DELETE", f"/instances/{name}")
        return dataset

    async def count(self, name: str) -> int:
        return len(await self._held()) if name == "orthanc" else len(self.peers[name].files())


NAMES = ("dcmtk", "stock3", "stock2", "orthanc")


def _send(port: int) -> None:
    ae = AE("SENDER")
    for syntax in SYNTAXES.values():
        ae.add_requested_context(CTImageStorage, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="GATEWAY")
    assert association.is_established
    for name in OBJECTS:
        assert association.send_c_store(made(name)).Status == 0x0000, name
    association.release()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("big")
    peers: dict[str, FolderSCP] = {
        "dcmtk": OnlyBig(folder / "dcmtk", ae_title="DCMTK"),
        "stock3": StockSCP(
            folder / "stock3", ae_title="STOCK3", only=[CTImageStorage], transfer_syntaxes=[ExplicitVRBigEndian]
        ),
    }
    if os.environ.get(PYNETDICOM_2):
        peers["stock2"] = StockTwo(folder / "stock2", ae_title="STOCK2")
    orthanc = Orthanc(folder / "orthanc", settings={"AcceptedTransferSyntaxes": [str(ExplicitVRBigEndian)]})
    rules: dict[str, Any] = {
        "peers": {
            **{name: {"ae_title": peer.ae_title, "address": f"127.0.0.1:{peer.port}"} for name, peer in peers.items()},
            "orthanc": {"ae_title": "ORTHANC", "address": f"127.0.0.1:{orthanc.port}"},
            "sender": {"ae_title": "SENDER", "may": ["store"]},
            "viewer": {"ae_title": "VIEWER", "may": ["move"]},
        },
        "routes": [{"name": "all", "to": [*peers, "orthanc"]}],
        "unmatched": "hold",
        "query_retrieve": {"sources": ["local"], "keep": "1 h"},
    }
    gateway = GatewayProcess(folder / "gateway", rules)

    async def begin() -> None:
        for each in (*peers.values(), orthanc, gateway):
            await each.start()
        await asyncio.to_thread(_send, gateway.port)
        await gateway.idle()  # any of the tests may be the first one

    with contextlib.ExitStack() as stack:
        for each in (*peers.values(), orthanc, gateway):
            stack.callback(each.stop)
        asyncio.run(begin())
        yield Site(gateway, peers, orthanc)


def check(found: Mapping[str, Dataset], syntax: str) -> None:
    assert set(found) == {uid_of(name) for name in OBJECTS}
    for name in OBJECTS:
        received = found[uid_of(name)]
        assert received.file_meta.TransferSyntaxUID == syntax, name
        assert differences(made(name), received) == [], name


def skip_absent(site: Site, name: str) -> None:
    if name == "stock2" and name not in site.peers:
        pytest.skip(f"{PYNETDICOM_2} names no environment with pynetdicom 2")


@pytest.mark.parametrize("name", NAMES)
async def test_deliveries(site: Site, name: str) -> None:
    skip_absent(site, name)

    async def all_there() -> bool:
        return await site.count(name) == len(OBJECTS)

    await until(all_there, 120.0, f"all objects at {name}")
    await site.gateway.idle()  # a file is whole when its response was sent
    check(await site.got(name), ExplicitVRBigEndian)


@pytest.mark.parametrize("name", NAMES)
async def test_sub_operations(site: Site, name: str) -> None:
    skip_absent(site, name)
    await site.got(name)
    title = "ORTHANC" if name == "orthanc" else site.peers[name].ae_title
    wanted = {QUERY_RETRIEVE_LEVEL: ("STUDY",), STUDY_INSTANCE_UID: (STUDY,)}
    final = await Moving(site.gateway.port).move(title, wanted)
    assert elements(final) == {"Status": 0x0000, **counters(len(OBJECTS), 0, 0)}
    check(await site.got(name), ExplicitVRBigEndian)
