"""Matching as a pure function and as SQL agree on whatever is asked of whatever is there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dataset.dictionary import tag_of
from gateway.model.query import Attributes, Query
from gateway.ports.errors import Refusal
from gateway.ports.store import Store
from gateway.query.compile import Options, compile_find
from gateway.query.matching import matches
from tests.support.identifiers import CT, attributes, entry
from tests.support.quick_run import QUICK_RUN
from tests.support.samples import NOON, TO_PACS, Clock, instance
from tests.support.store_rig import EACH, IMPLEMENTATIONS

NAMES = [
    "Doe^John",
    "DOE^JANE",
    "Müller^Jörg=穆勒=ミュラー",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Doe ^John^^^",
    "O'Neil",
    "",
    "[x]^a*",
]
DATES = ["20200101", "20200131", "2020.02.01", "19991231", "20200230", "", "garbage"]
TIMES = ["101500", "10", "1015", "10:15:00", "101500.5", "235959.999999", "000000", "", "9"]
MOMENTS = ["20200101101500", "20200101101500.25+0100", "2020", "20191231233000-0300", ""]
WORDS = ["HEAD", "head", "HEAD NECK", "H[A-Z]D", "ab*c", "A\\B", "\\HEAD", "", "?", "Kopf ä", "100%_"]
IDS = [word for word in WORDS if "\\" not in word]
"""Of attributes with one value (PS3.6), which the index keeps in columns."""
NUMBERS = ["1", "+1", "007", "-3", "", "x"]
WEIGHTS = ["70", "70.0", "7e1", "70.5", ""]

PLACES: dict[str, list[str]] = {
    "PatientName": NAMES,
    "PatientID": IDS,
    "PatientBirthDate": DATES,
    "PatientBirthTime": TIMES,
    "OtherPatientIDs": WORDS,
    "StudyDate": DATES,
    "StudyTime": TIMES,
    "StudyDescription": WORDS,
    "AccessionNumber": IDS,
    "ReferringPhysicianName": NAMES,
    "PatientWeight": WEIGHTS,
    "SeriesDate": DATES,
    "SeriesTime": TIMES,
    "Modality": ["CT", "MR", "", "C*"],
    "SeriesNumber": NUMBERS,
    "ImageType": [word for word in WORDS if word.isascii()],  # a CS has no other characters (PS3.5 §6.2)
    "InstanceNumber": NUMBERS,
    "AcquisitionDateTime": MOMENTS,
    "ContentTime": TIMES,
    "Rows": ["512", "64", ""],
}
ITEMS = st.fixed_dictionaries(
    {}, optional={"RequestedProcedureID": st.sampled_from(WORDS), "ScheduledProcedureStepID": st.sampled_from(WORDS)}
)
PATTERN = st.lists(
    st.sampled_from(["*", "?", "D", "d", "oe", "^", "J", "[", "]", "=", "HEAD", "山", "ü", " ", "a", "-", "1"]),
    max_size=5,
).map("".join)
RANGES = {
    "DA": st.sampled_from(
        ["20200101-", "-20200131", "20200101-20200201", "20191231-20200101", "2020.01.01-2020.01.31"]
    ),
    "TM": st.sampled_from(["10-", "-1015", "0930-101500", "10-11", "000000-235959.999999"]),
    "DT": st.sampled_from(["2020-", "-20200101", "20200101101400-20200101101501", "20200101+0100-20200102+0100"]),
}
OBJECTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in PLACES.items()}),
        st.lists(ITEMS, max_size=2),
        st.sampled_from(["", "+0200", "-0330"]),
    ),
    min_size=1,
    max_size=5,
)


def value_of(name: str) -> st.SearchStrategy[str]:
    vr = {"Date": "DA", "Time": "TM"}.get(name[-4:], "")
    vr = "DT" if name == "AcquisitionDateTime" else vr
    single = st.sampled_from(PLACES[name])
    listed = st.lists(single, min_size=1, max_size=2).map("\\".join)
    return st.one_of(single, PATTERN, listed, st.just('""'), *([RANGES[vr]] if vr else []))


KEYS = st.dictionaries(st.sampled_from(sorted(PLACES)), st.none(), min_size=1, max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: value_of(name) for name in names})
)
SEQUENCE_KEY = st.one_of(
    st.none(), st.fixed_dictionaries({"RequestedProcedureID": PATTERN}), st.just({"ScheduledProcedureStepID": "HEAD"})
)
OPTIONS = st.builds(Options, st.just(True), st.booleans(), st.booleans())


@pytest.fixture(scope="module", params=[each for each in EACH if each.values != ("memory",)])
def queue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = IMPLEMENTATIONS[request.param](tmp_path_factory.mktemp("queue"), Clock())
    yield opened
    opened.close()


class Undone(Exception):
    """Ends a transaction that is to leave nothing behind."""


def objects(drawn: list[tuple[int, dict[str, str], list[dict[str, str]], str]]) -> list[Attributes]:
    made: list[Attributes] = []
    for number, (study, keywords, items, offset) in enumerate(drawn, 1):
        uids = {"StudyInstanceUID": f"1.{study}.{number}", "SeriesInstanceUID": f"1.{study}.{number}.1"}
        uids |= {"SOPInstanceUID": f"1.2.3.{number}", "SOPClassUID": CT}
        sequence: dict[str, Any] = {"RequestAttributesSequence": items} if items else {}
        made.append(attributes(**keywords, **uids, **sequence, TimezoneOffsetFromUTC=offset))
    return made


def query_of(
    level: str, keywords: dict[str, str], item: dict[str, str] | None, options: Options, offset: str
) -> Query | None:
    """None for an identifier that is refused: a pattern is no date."""
    more: dict[str, Any] = {"RequestAttributesSequence": [item]} if item else {}
    if offset:
        more["TimezoneOffsetFromUTC"] = offset
    try:
        return compile_find(attributes(QueryRetrieveLevel=level, **keywords, **more), "patient", options)
    except Refusal:
        return None


@settings(max_examples=QUICK_RUN.examples(250), deadline=None)
@given(
    drawn=OBJECTS,
    level=st.sampled_from(["PATIENT", "STUDY", "SERIES", "IMAGE"]),
    keys=KEYS,
    item=SEQUENCE_KEY,
    options=OPTIONS,
    offset=st.sampled_from(["", "+0100"]),
)
def test_sql_finds_what_the_pure_function_matches(
    queue: Store,
    drawn: list[Any],
    level: str,
    keys: dict[str, str],
    item: dict[str, str] | None,
    options: Options,
    offset: str,
) -> None:
    query = query_of(level, keys, item, options, offset)
    if query is None:
        return
    with contextlib.suppress(Undone), queue.transaction():
        check(queue, query, objects(drawn))


def check(queue: Store, query: Query, stored: list[Attributes]) -> None:
    """Put these into the index, and compare what it finds with what the pure function matches.

    Raises:
        Undone: all was as it should be.
    """
    for number, found in enumerate(stored, 1):
        (uid,) = found[tag_of("SOPInstanceUID")]
        assert isinstance(uid, str)
        held = dataclasses.replace(instance(number), sop_instance_uid=uid, sop_class_uid=CT, index=entry(found))
        queue.deliveries.accept([(held, [TO_PACS])], NOON)
    image = dataclasses.replace(query, level=type(query.level).IMAGE)
    found_uids = [each.sop_instance_uid for each in queue.index.instances(queue.index.find(image))]
    expected = [found[tag_of("SOPInstanceUID")][0] for found in stored if matches(image, found)]
    assert sorted(found_uids) == sorted(map(str, expected))
    assert bool(queue.index.find(query)) == bool(expected)
    raise Undone
