"""Studies of objects that are on their way in."""

from __future__ import annotations

import pytest

from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.spool.arriving import HEAD_BYTES, ArrivingObjects
from tests.support.data_set_writer import Write
from tests.unit.spool.test_receive import receiver

UID = "1.2.840.113619.2.55.3"


def data_set(encoding: Encoding = EXPLICIT_LITTLE, uid: str = UID) -> bytes:
    write = Write(encoding)
    return (
        write.element("PatientID", "LO", "0042")
        + write.element("StudyInstanceUID", "UI", uid)
        + write.element("SeriesInstanceUID", "UI", "9.9")
    )


class Head:
    """An object that is on its way in."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked = 0

    def head(self) -> bytes:
        self.asked += 1
        return self.data


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("uid", [UID, "1.2", "2.25.1-a"])
def test_the_study_is_known_from_the_head(encoding: Encoding, uid: str) -> None:
    arriving = ArrivingObjects()
    arriving.add(Head(data_set(encoding, uid)))
    assert arriving.studies() == {uid}


def test_nothing_is_read_until_somebody_asks_and_then_once() -> None:
    arriving, one, empty = ArrivingObjects(), Head(data_set() + bytes(HEAD_BYTES)), Head(b"")
    for each in (one, empty):
        arriving.add(each)
    assert (one.asked, empty.asked) == (0, 0)
    assert arriving.studies() == arriving.studies() == {UID}
    assert (one.asked, empty.asked) == (1, 2), "its head may have come meanwhile"
    arriving.remove(one)
    arriving.remove(one)
    assert arriving.studies() == frozenset()


@pytest.mark.parametrize("before", [data_set(uid="1.9"), data_set()[:-20]], ids=["of a sequence", "cut off"])
def test_the_rest_of_the_head_counts_as_it_comes(before: bytes) -> None:
    arriving, one = ArrivingObjects(), Head(before)
    arriving.add(one)
    arriving.studies()
    one.data = data_set(uid="1.9") + data_set()
    assert arriving.studies() == {"1.9", UID}


def test_an_object_is_on_its_way_in_from_its_first_fragment_to_its_last() -> None:
    taking = receiver()
    arriving = taking._shared.arriving
    assert arriving.studies() == frozenset()
    assert taking.write(memoryview(data_set())) is None
    assert arriving.studies() == {UID}
    taking.write(memoryview(bytes(2 * HEAD_BYTES)))
    assert taking.head()[: len(data_set())] == data_set()
    assert len(taking.head()) == HEAD_BYTES
    taking.finish()
    assert arriving.studies() == frozenset()


def test_an_object_that_does_not_come_is_on_its_way_no_longer() -> None:
    taking = receiver()
    taking.write(memoryview(data_set()))
    taking.discard()
    assert taking._shared.arriving.studies() == frozenset()
