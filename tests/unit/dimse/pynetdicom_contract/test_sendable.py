"""Data sets of pydicom on their way: in their own transfer syntax, or in another one with the same values."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from gateway.dimse.pynetdicom_contract.sendable import SendableDataset

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
LITTLE_FILE, BIG_FILE = "MR_small.dcm", "MR_small_bigendian.dcm"
"""The same image in both byte orders, with Pixel Data of 16 bits."""


def read(name: str, *, with_meta: bool = True) -> Any:
    dataset = dcmread(str(get_testdata_file(name)))
    if not with_meta:
        del dataset.file_meta
    return dataset


async def sent(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    return bytes((await SendableDataset(dataset).body(transfer_syntax_uid)).view())


@pytest.mark.parametrize("with_meta", [True, False], ids=["with file_meta", "without file_meta"])
async def test_pixels_change_their_byte_order_with_the_data_set(with_meta: bool) -> None:
    big, little = read(BIG_FILE, with_meta=with_meta), read(LITTLE_FILE)
    for syntax in (EXPLICIT, IMPLICIT):
        written = dcmread(io.BytesIO(await sent(big, syntax)), force=True)
        assert written.PixelData == little.PixelData
        assert (written.Rows, written.PatientName) == (little.Rows, little.PatientName)
    assert read(LITTLE_FILE).PixelData in await sent(big, EXPLICIT)


async def test_and_back() -> None:
    assert read(BIG_FILE).PixelData in await sent(read(LITTLE_FILE), BIG)
    assert read(BIG_FILE).PixelData in await sent(read(BIG_FILE), BIG)


@pytest.mark.parametrize(
    ("name", "own"), [(LITTLE_FILE, EXPLICIT), (BIG_FILE, BIG), ("rtplan.dcm", IMPLICIT)], ids=lambda value: value
)
def test_without_file_meta_it_is_what_it_was_read_from(name: str, own: str) -> None:
    assert SendableDataset(read(name, with_meta=False)).transfer_syntaxes[0] == own


def test_one_made_in_memory_is_explicit_little_endian() -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2", "1.3"
    assert SendableDataset(dataset).transfer_syntaxes[0] == EXPLICIT


@pytest.mark.parametrize("form", ["as read", "decoded", "made by hand"])
def test_a_compressed_one_without_file_meta_is_refused(form: str) -> None:
    """Its fragments would be taken for pixels."""
    dataset = read("JPEG2000.dcm", with_meta=False)
    if form == "decoded":
        assert dataset.PixelData
    elif form == "made by hand":
        dataset = read(LITTLE_FILE, with_meta=False)
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    with pytest.raises(ValueError, match="names no transfer syntax"):
        SendableDataset(dataset)
