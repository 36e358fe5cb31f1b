"""Which object an encoded data set says it is."""

from __future__ import annotations

import contextlib
from random import Random

import pydicom
import pytest

from gateway.dataset.identity import identify
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import Unreadable
from tests.support.corpus import Part10, corpus, read_part10

PATHS = (AttributePath(0x00080016), AttributePath(0x00080018))


def parts() -> list[Part10]:
    """Some real objects, in many transfer syntaxes."""
    found = []
    for path in corpus():
        with contextlib.suppress(ValueError):
            found.append(read_part10(path))
    return found[:60]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("part", parts(), ids=lambda part: part.path.name)
def test_real_objects_say_who_they_are(part: Part10) -> None:
    """As pydicom reads them; what does not name its class and instance, or is not whole, has no identity."""
    expected = pydicom.dcmread(part.path, force=True, stop_before_pixels=True)
    found = identify(memoryview(part.data_set), part.transfer_syntax_uid)
    if found is None:
        with contextlib.suppress(Unreadable):
            texts = scan(memoryview(part.data_set), part.transfer_syntax_uid, wanted(PATHS))
            assert not all(texts.values(path) for path in PATHS)
        return
    names = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    assert found == tuple(str(expected.get(name, "")) for name in names)


@pytest.mark.parametrize("data", [b"", b"x", b"\x08\x00\x16\x00UI\xff\xff", Random(1).randbytes(5000)])
def test_what_is_no_data_set_has_no_identity(data: bytes) -> None:
    assert identify(memoryview(data), "1.2.840.10008.1.2.1") is None
    assert identify(memoryview(data), "") is None
