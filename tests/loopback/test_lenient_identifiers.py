"""Identifiers that do not keep to the hierarchy: answered as archives answer them, refused where `strict` says so."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.model.association import AssociationFacts
from gateway.model.query import QueryRoot
from gateway.rehearsal.explain.query import QueryAnswer, Request, explain_query
from gateway.routing.table import RoutingTable
from tests.support.federation import LOOPBACK, VIEWER, Source, Told, answering, ask
from tests.support.identifiers import attributes
from tests.support.query_table import OBJECTS, UNIQUE

STRICT = dataclasses.replace(VIEWER, is_strict=True)
STUDY, SERIES = "1.2.826.0.1.1", "1.2.826.0.1.1.1"


def having(level: str, **wanted: str) -> list[str]:
    """What the objects say."""
    fit = (each for each in OBJECTS if all(each.get(key) == value for key, value in wanted.items()))
    return sorted({str(each[UNIQUE[level]]) for each in fit})


ROWS: dict[str, tuple[str, QueryRoot, str, dict[str, Any], list[str], str]] = {
    "series of all studies": ("SERIES", "study", "SERIES", {"Modality": "MR"}, having("SERIES", Modality="MR"), "keys"),
    "images of a series": (
        "IMAGE",
        "study",
        "IMAGE",
        {"SeriesInstanceUID": SERIES},
        having("IMAGE", SeriesInstanceUID=SERIES),
        "keys",
    ),
    "images of a study": (
        "IMAGE",
        "study",
        "IMAGE",
        {"StudyInstanceUID": STUDY},
        having("IMAGE", StudyInstanceUID=STUDY),
        "keys",
    ),
    "studies of all patients": (
        "STUDY",
        "patient",
        "STUDY",
        {"AccessionNumber": "A-1001"},
        having("STUDY", AccessionNumber="A-1001"),
        "keys",
    ),
    "a study by its series": ("STUDY", "study", "STUDY", {"SeriesInstanceUID": SERIES}, [STUDY], "keys"),
    "level INSTANCE": (
        "INSTANCE",
        "study",
        "IMAGE",
        {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES},
        having("IMAGE", SeriesInstanceUID=SERIES),
        "level",
    ),
    "level IMAGES": (
        "IMAGES",
        "study",
        "IMAGE",
        {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES},
        having("IMAGE", SeriesInstanceUID=SERIES),
        "level",
    ),
    "level study": ("study", "study", "STUDY", {"AccessionNumber": "A-1001"}, [STUDY], "level"),
}
KINDS = {"keys": "keys_of_other_levels", "level": "level_word"}


async def asked(port: int, name: str) -> tuple[Told, list[str]]:
    written, root, level, keys, _, _ = ROWS[name]
    told = await ask(port, written, root, is_unique_asked=False, **{UNIQUE[level]: "", **keys})
    return told, told.texts(UNIQUE[level])


def explained(table: RoutingTable, name: str) -> QueryAnswer:
    """What `gateway explain --query` says of it."""
    written, root, level, keys, _, _ = ROWS[name]
    identifier = attributes(QueryRetrieveLevel=written, **{UNIQUE[level]: "", **keys})
    return explain_query(
        table, AssociationFacts("VIEWER", "GATEWAY", LOOPBACK), Request("it", "find", root, identifier)
    )


@pytest.mark.parametrize("place", ["local", "source"])
@pytest.mark.parametrize("name", ROWS)
async def test_answered(name: str, place: str, tmp_path: Path) -> None:
    *_, expected, kind = ROWS[name]
    assert expected
    async with AsyncExitStack() as stack:
        sources = [] if place == "local" else [await stack.enter_async_context(Source("pacs", OBJECTS).running())]
        local = OBJECTS if place == "local" else None
        gateway = await stack.enter_async_context(answering(tmp_path, *sources, local=local))
        with capture_logs() as events:
            told, found = await asked(gateway.port, name)
        assert f'gateway_leniencies_total{{kind="{KINDS[kind]}",peer="viewer"}} 1.0' in gateway.metrics.text().decode()
        assert explained(gateway.table, name).oddities == (KINDS[kind],)
    assert told.final.status == 0x0000
    assert found == expected
    assert [event["kind"] for event in events if event["event"] == "deviation_tolerated"] == [KINDS[kind]]


@pytest.mark.parametrize("name", ROWS)
async def test_refused_where_the_requestor_is_held_to_the_letter(name: str, tmp_path: Path) -> None:
    async with answering(tmp_path, local=OBJECTS, requestor=STRICT) as gateway:
        told, found = await asked(gateway.port, name)
        assert "gateway_leniencies_total{" not in gateway.metrics.text().decode()
        answer = explained(gateway.table, name)
    assert (told.final.status, found) == (0xA900, [])
    assert (answer.status, answer.error_comment[:64], answer.offending_elements, answer.oddities) == (
        told.final.status,
        told.final.error_comment,
        tuple(told.final.command.get("OffendingElement", ())),
        (),
    )


async def test_what_keeps_to_the_hierarchy_is_no_leniency(tmp_path: Path) -> None:
    async with answering(tmp_path, local=OBJECTS) as gateway:
        told = await ask(gateway.port, "SERIES", StudyInstanceUID=STUDY)
        assert told.answers
        assert "gateway_leniencies_total{" not in gateway.metrics.text().decode()


async def test_a_c_find_without_a_level_is_refused(tmp_path: Path) -> None:
    async with answering(tmp_path, local=OBJECTS) as gateway:
        told = await ask(gateway.port, "", is_unique_asked=False, StudyInstanceUID=STUDY)
    assert told.final.status == 0xA900
