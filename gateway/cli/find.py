"""`gateway find`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gateway.cli.access import require_store
from gateway.cli.keys import identifier_of
from gateway.cli.network import CALLED, CALLING, addressed
from gateway.cli.options import Duration, fail, rules_option, usable_table
from gateway.cli.query_level import LEVEL_NAMES, level_of
from gateway.cli.render import count, table
from gateway.common.plain_text import printable
from gateway.dataset.dictionary import name_of
from gateway.lifecycle import logs
from gateway.model.attribute_path import AttributePath
from gateway.model.query import Attributes, QueryItem, QueryLevel, QueryRoot, Value
from gateway.ports.errors import GatewayError
from gateway.query.attributes import SPECIFIC_CHARACTER_SET, UNIQUE
from gateway.query.sop_classes import LEVELS_OF_ROOT
from gateway.query.typed import Bulk
from gateway.routing.language.attribute_path import tag_of
from gateway.scu.find import FindPlaces, FindRequest, FindUser

ALL, LOCAL = "all", "local"
ROOTS: Mapping[str, QueryRoot] = {"study": "study", "patient": "patient", "patient-study": "patient_study"}
SERVICES = {"worklist": "worklist", "ups": "unified_procedure_step", "protocol": "defined_procedure_protocol"}

_SHOWN = {
    QueryLevel.PATIENT: "PatientID PatientName PatientBirthDate PatientSex NumberOfPatientRelatedStudies",
    QueryLevel.STUDY: "StudyInstanceUID PatientID PatientName StudyDate StudyTime AccessionNumber ModalitiesInStudy "
    "StudyDescription NumberOfStudyRelatedInstances",
    QueryLevel.SERIES: "SeriesInstanceUID StudyInstanceUID Modality SeriesNumber SeriesDescription "
    "NumberOfSeriesRelatedInstances",
    QueryLevel.IMAGE: "SOPInstanceUID SeriesInstanceUID StudyInstanceUID SOPClassUID InstanceNumber",
}
_SHOWN_OF_SERVICES = {
    "worklist": "PatientID PatientName AccessionNumber StudyInstanceUID RequestedProcedureDescription "
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID "
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle "
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate "
    "ScheduledProcedureStepSequence[0].Modality",
    "unified_procedure_step": "SOPInstanceUID PatientID PatientName ProcedureStepState ProcedureStepLabel",
    "defined_procedure_protocol": "SOPInstanceUID SOPClassUID",
}
"""The return keys unless keys without a value are given."""


@click.command(
    epilog="\b\nExamples\n"
    "  gateway find pacs PatientID=P-001\n"
    "  gateway find all StudyDate=20260101- ModalitiesInStudy=MR --format json\n"
    "  gateway find pacs StudyInstanceUID=1.2.3 --level series\n"
    "  gateway find ris ScheduledProcedureStepSequence[0].Modality=MR --model worklist"
)
@click.argument("peer", metavar="PEER|all|local|HOST:PORT")
@click.argument("keys", nargs=-1, metavar="[KEY[=VALUE]]...")
@click.option(
    "--level",
    type=click.Choice(LEVEL_NAMES, case_sensitive=False),
    default=None,
    help="Query/Retrieve Level, as the KEY QueryRetrieveLevel=...  [default: study].",
)
@click.option(
    "--model",
    type=click.Choice([*ROOTS, *SERVICES]),
    default=None,
    help="Information model  [default: study, for --level patient patient].",
)
@rules_option
@CALLING
@CALLED
@click.option("--limit", type=click.IntRange(0), default=0, metavar="NUMBER", help="The most answers; 0 is all.")
@click.option("--timeout", type=Duration(), default=30.0, show_default="30 s", help="Time limit of each place.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Output."
)
def find(
    peer: str,
    keys: tuple[str, ...],
    level: str | None,
    model: str | None,
    rules: Path,
    calling_ae: str,
    called_ae: str,
    limit: int,
    timeout: float,
    form: str,
) -> None:
    """Ask a peer what it has (C-FIND); `all`: every source of the rules, merged; `local`: what the gateway holds.

    KEY is a keyword, a tag or a path; without a VALUE it is only shown. VALUE may hold wild cards, a range of dates or
    times, several values with backslashes. Exits 1 when a place did not answer.
    """
    given_level, words = level_of(keys, level)
    at = given_level or QueryLevel.STUDY
    model = model or ("patient" if at is QueryLevel.PATIENT else "study")
    if model in ROOTS and at not in LEVELS_OF_ROOT[ROOTS[model]]:
        raise click.UsageError(f"--model {model} has no level {at.value.lower()}")
    service = SERVICES.get(model, "")
    if service and given_level:
        raise click.UsageError(f"--model {model} has no levels: leave {given_level.value} out")
    wanted, columns = _keys(words, _SHOWN_OF_SERVICES[service] if service else _SHOWN[at])
    if not service:
        wanted.setdefault(UNIQUE[at], ())
    inquiry = FindRequest(wanted, at, ROOTS.get(model, "study"), service, limit, timeout)
    query_user = FindUser(_places(peer, rules, calling_ae, called_ae, service), inquiry)
    try:
        with logs.warnings_to_stderr():
            answers = asyncio.run(_all(query_user))
    except (GatewayError, ValueError) as error:
        fail(str(error))
    _show(answers, columns, form)
    for failure in query_user.failures:
        click.echo(f"{failure.source}: {printable(failure.reason)}", err=True)
    if query_user.failures:
        fail(f"incomplete: {count(len(query_user.failures), 'place')} did not answer")


async def _all(query_user: FindUser) -> list[Attributes]:
    async with aclosing(query_user.answers()) as answers:
        return [answer async for answer in answers]


def _places(peer: str, rules: Path, calling_ae: str, called_ae: str, service: str) -> FindPlaces:
    if peer not in (ALL, LOCAL):
        place, own = addressed(peer, rules, calling_ae, called_ae)
        return FindPlaces(own, (place,))
    found = usable_table(rules)
    settings, own = found.query_retrieve, calling_ae or found.settings.ae_title
    if peer == LOCAL:
        if service:
            raise click.UsageError(f"the gateway itself knows nothing of --model {service}")
        require_store(found.settings, is_read_only=True)
        return FindPlaces(own, (), found.settings)
    names = settings.relay.get(service, ()) if service else settings.sources
    peers = tuple(
        replace(found.peers[name], calling_ae_title=calling_ae or found.peers[name].calling_ae_title) for name in names
    )
    is_local = settings.is_local and not service
    if not peers and not is_local:
        raise click.UsageError(f"the rules name nobody to ask: see `query_retrieve` in {rules}")
    return FindPlaces(own, peers, found.settings if is_local else None, settings.local_rank)


# --- keys ---------------------------------------------------------------------------------------------------------


def _keys(words: Sequence[str], shown: str) -> tuple[dict[int, Value], list[AttributePath]]:
    """The identifier, and what is shown of its answers, in order."""
    is_chosen = any("=" not in word for word in words)
    return identifier_of((*words, *(() if is_chosen else shown.split())))


# --- output -------------------------------------------------------------------------------------------------------


def _show(answers: Sequence[Attributes], columns: Sequence[AttributePath], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([_as_json(answer) for answer in answers], indent=2, ensure_ascii=False))
        return
    if answers:
        heads = [name_of(path.tag) for path in columns]
        click.echo(table(heads, [[_texts(answer, path) for path in columns] for answer in answers]))
    click.echo(count(len(answers), "answer"), err=True)


def _texts(answer: Attributes, path: AttributePath) -> str:
    for sequence, _ in path.steps:
        answer = next(iter(_items(answer.get(sequence, ()))), {})
    value = answer.get(path.tag, ())
    items = _items(value)
    return count(len(items), "item") if items else "\\".join(_shown(each) for each in value)


def _shown(value: str | QueryItem) -> str:
    """One value as text; for bytes their length."""
    return count(len(value), "byte") if isinstance(value, Bulk) else str(value)


def _items(value: Value) -> list[QueryItem]:
    return [item for item in value if not isinstance(item, str)]


def _as_json(answer: Attributes) -> dict[str, Any]:
    return {_keyword(tag): _value(answer[tag]) for tag in sorted(answer) if tag != SPECIFIC_CHARACTER_SET}


def _keyword(tag: int) -> str:
    name = name_of(tag)
    return name if name.isidentifier() and tag_of(name) == tag else f"{tag:08X}"


def _value(value: Value) -> Any:
    found = [_as_json(each) if not isinstance(each, str) else _shown(each) for each in value]
    if any(isinstance(each, dict) for each in found):
        return found
    return found[0] if len(found) == 1 else found or ""
