"""A compressed object on its way out: decompressed in a worker process, masked, without identity, in a folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gateway.conversion.pool import ConversionPool
from gateway.delivery.transform import outbound_for
from gateway.destinations.folder import Folder, FolderDestination
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivered, Delivery, DeliveryState
from gateway.model.instance import Instance, PayloadRef
from gateway.model.settings import ConversionLimits
from gateway.ports.meter import NoMeter
from gateway.routing.language.resources import FileResources
from gateway.routing.language.stored_actions import canonical_json
from gateway.spool.body import InMemoryDataSet
from tests.support.corpus import read_part10
from tests.support.deidentify import KEY

ACTIONS = canonical_json(
    [
        {"transcode": {"to": ["ExplicitVRLittleEndian"]}},
        {
            "deidentify": {
                "key": "test",
                "options": ["clean-pixel-data"],
                "regions": [{"modality": "US", "rectangles": [{"left": 0, "top": 0, "width": 640, "height": 40}]}],
            }
        },
    ]
)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.quick
async def test_decompressed_masked_and_written_without_identity(tmp_path: Path) -> None:
    path = Path(str(get_testdata_file("US1_J2KR.dcm")))
    part = read_part10(path)
    before = dcmread(path)
    instance = Instance(
        part.sop_class_uid,
        part.sop_instance_uid,
        part.transfer_syntax_uid,
        str(before.StudyInstanceUID),
        str(before.SeriesInstanceUID),
        AssociationFacts("US-ROOM-1", "GATEWAY", "10.1.2.3"),
        PayloadRef("segment", 0, len(part.data_set), b""),
        NOW,
    )
    delivery = Delivery(1, instance, "files", "rule", ACTIONS, DeliveryState.PENDING, 0, NOW, NOW)
    pool = ConversionPool(ConversionLimits(), str(tmp_path), NoMeter())
    try:
        outbound = await outbound_for(delivery, InMemoryDataSet([part.data_set]), FileResources({"test": KEY}), pool)
    finally:
        await pool.close()
    root = tmp_path / "out"
    there = FolderDestination("files", Folder(f"{root}/{{{{ SOPInstanceUID }}}}.dcm", str(root), "number"))

    assert await there.channel().send(outbound) == Delivered()

    (file,) = root.iterdir()
    after = dcmread(file)
    content = file.read_bytes()
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == file.stem == outbound.sop_instance_uid
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    for identifying in (before.SOPInstanceUID, before.StudyInstanceUID, before.SeriesInstanceUID, before.PatientID):
        assert str(identifying).encode() not in content
    assert b"US-ROOM-1" not in content
    pixels = after.pixel_array
    assert not pixels[:40].any()
    assert (pixels[40:] == before.pixel_array[40:]).all()
    assert (after.BurnedInAnnotation, after.PatientIdentityRemoved) == ("NO", "YES")
