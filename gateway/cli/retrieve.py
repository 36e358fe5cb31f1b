"""`gateway move` and `gateway get`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gateway.cli.network import CALLED, CALLING, addressed
from gateway.cli.options import Duration, fail, rules_option
from gateway.cli.query_level import LEVEL_NAMES, level_of
from gateway.cli.render import count
from gateway.common.plain_text import printable
from gateway.dimse.requestor.response import Response
from gateway.lifecycle import exit_code, logs
from gateway.model.peer import Peer
from gateway.model.query import QueryLevel, QueryRoot
from gateway.ports.errors import GatewayError
from gateway.query.attributes import LEVELS, UNIQUE
from gateway.routing.language.attribute_path import parse
from gateway.scu import move_get
from gateway.scu.move_get import RetrieveIdentifier

LEVEL = click.option(
    "--level",
    type=click.Choice(LEVEL_NAMES, case_sensitive=False),
    default=None,
    help="Query/Retrieve Level, as the KEY QueryRetrieveLevel=...  [default: the lowest that has a KEY].",
)
MODEL = click.option(
    "--model",
    type=click.Choice(["study", "patient"]),
    default=None,
    help="Information model  [default: patient where a Patient ID is named, else study].",
)
TIMEOUT = click.option(
    "--timeout",
    type=Duration(),
    default=60.0,
    show_default="60 s",
    help="Time limit of every wait for the next response.",
)
MOST_SHOWN = 20


@click.command(
    epilog="\b\nExamples\n"
    "  gateway move pacs WS1 StudyInstanceUID=1.2.3\n"
    "  gateway move pacs ALLSITES PatientID=P-001\n"
    "  gateway move 127.0.0.1:11112 WS1 StudyInstanceUID=1.2.3 SeriesInstanceUID=1.2.3.4"
)
@click.argument("peer", metavar="PEER|HOST:PORT")
@click.argument("destination", metavar="DESTINATION")
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
@rules_option
@CALLING
@CALLED
@LEVEL
@MODEL
@TIMEOUT
def move(
    peer: str, destination: str, keys: tuple[str, ...], rules: Path, calling_ae: str, called_ae: str, **more: Any
) -> None:
    """Have a peer send what KEYs name to DESTINATION, an AE title that it knows (C-MOVE).

    KEY is PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, several values between backslashes; or
    QueryRetrieveLevel.
    Exits 1 when not everything got there.
    """
    place, own = addressed(peer, rules, calling_ae, called_ae)
    wanted = _wanted(keys, more["level"], more["model"], more["timeout"])
    with _progress() as on_response:
        final = _run(lambda: move_get.move(place, own, destination, wanted, on_response))
    _summary(place, final, "sent")


@click.command(
    epilog="\b\nExamples\n"
    "  gateway get pacs study/ StudyInstanceUID=1.2.3\n"
    "  gateway get 127.0.0.1:11112 out/ PatientID=P-001 --called-ae PACS"
)
@click.argument("peer", metavar="PEER|HOST:PORT")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
@rules_option
@CALLING
@CALLED
@LEVEL
@MODEL
@TIMEOUT
def get(
    peer: str, folder: Path, keys: tuple[str, ...], rules: Path, calling_ae: str, called_ae: str, **more: Any
) -> None:
    """Fetch what KEYs name into files of FOLDER, named by their SOP Instance UIDs (C-GET).

    KEY is PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, several values between backslashes; or
    QueryRetrieveLevel.
    Exits 1 when not everything came.
    """
    place, own = addressed(peer, rules, calling_ae, called_ae)
    wanted = _wanted(keys, more["level"], more["model"], more["timeout"])
    with _progress() as on_response:
        final = _run(lambda: move_get.get(place, own, folder, wanted, on_response))
    _summary(place, final, f"stored in {folder}")


def _run(work: Callable[[], Any]) -> Response:
    try:
        with logs.warnings_to_stderr():
            final: Response = asyncio.run(work())
            return final
    except (GatewayError, ValueError, OSError) as error:
        fail(str(error))


def _wanted(words: Sequence[str], level: str | None, model: str | None, timeout_s: float) -> RetrieveIdentifier:
    """Exits 2 when the words name nothing that can be retrieved."""
    tags = {tag: each for each, tag in UNIQUE.items()}
    keys: dict[int, tuple[str, ...]] = {}
    given_level, words = level_of(words, level)
    for word in words:
        name, _, value = word.partition("=")
        try:
            path = parse(name)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="KEY") from None
        if path.steps or path.tag not in tags:
            raise click.BadParameter(
                f"{name}: a retrieve names PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID",
                param_hint="KEY",
            )
        if not value:
            raise click.BadParameter(f"{name} has no value", param_hint="KEY")
        keys[path.tag] = tuple(value.split("\\"))
    if not keys:
        raise click.UsageError("a level alone names nothing: add a KEY of that level")
    at = given_level or max((tags[tag] for tag in keys), key=LEVELS.index)
    is_of_patient = UNIQUE[QueryLevel.PATIENT] in keys if model is None else model == "patient"
    root: QueryRoot = "patient" if is_of_patient else "study"
    if root == "study" and at is QueryLevel.PATIENT:
        raise click.UsageError("--model study has no level patient")
    if UNIQUE[at] not in keys:
        raise click.UsageError(f"level {at.value.lower()} needs a KEY of that level")
    return RetrieveIdentifier(at, root, dict(sorted(keys.items())), timeout_s)


def _summary(peer: Peer, final: Response, what: str) -> None:
    status, comment = f"0x{final.status:04X}", printable(final.error_comment)
    failed = final.failed_sop_instance_uids
    for uid in failed[:MOST_SHOWN]:
        click.echo(f"failed: {printable(uid)}", err=True)
    if len(failed) > MOST_SHOWN:
        click.echo(f"and {len(failed) - MOST_SHOWN} more", err=True)
    warnings = f", {final.warning} with a warning" if final.warning else ""
    click.echo(
        f"{peer.name}: {count(final.completed or 0, 'object')} {what}{warnings}, {final.failed or 0} failed, "
        f"{status}{f' ({comment})' if comment else ''}"
    )
    if final.status != 0:
        raise SystemExit(exit_code.FAILURE)


@contextmanager
def _progress() -> Iterator[move_get.OnResponse]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda response: None
        return
    with click.progressbar(length=1, label="retrieving", file=sys.stderr, show_pos=True) as bar:

        def on_response(response: Response) -> None:
            done = (response.completed or 0) + (response.failed or 0) + (response.warning or 0)
            if response.is_pending and response.remaining is not None:
                bar.length = max(done + response.remaining, 1)
            bar.update(max(0, done - bar.pos))

        yield on_response
