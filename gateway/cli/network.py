"""`gateway echo` and `gateway send`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from gateway.cli.options import fail, peer_named, rules_option
from gateway.cli.render import count, size
from gateway.common.plain_text import printable
from gateway.lifecycle import exit_code
from gateway.model.peer import Peer
from gateway.ports.errors import GatewayError
from gateway.scu import echo_store

CALLING = click.option(
    "--calling-ae", default="", metavar="TITLE", help="Our AE title  [default: the rules' or GATEWAY]."
)
CALLED = click.option("--called-ae", default="", metavar="TITLE", help="Theirs  [default: the peer's or ANY-SCP].")


@click.command(epilog="\b\nExamples\n  gateway echo pacs\n  gateway echo 127.0.0.1:11112 --called-ae GATEWAY")
@click.argument("peer", metavar="PEER|HOST:PORT")
@rules_option
@CALLING
@CALLED
def echo(peer: str, rules: Path, calling_ae: str, called_ae: str) -> None:
    """Ask a peer whether it answers (C-ECHO)."""
    place, own = addressed(peer, rules, calling_ae, called_ae)
    try:
        answer = asyncio.run(echo_store.echo(place, own))
    except (GatewayError, ValueError) as error:
        fail(str(error))
    times = f"association {answer.association_s * 1000:.1f} ms, echo {answer.echo_s * 1000:.1f} ms"
    click.echo(f"{place.name}: 0x{answer.status:04X} ({times})")
    if answer.status != 0:
        raise SystemExit(exit_code.FAILURE)


@click.command(
    epilog="\b\nExamples\n  gateway send pacs study/\n  gateway send 127.0.0.1:11112 a.dcm b.dcm --associations 4"
)
@click.argument("peer", metavar="PEER|HOST:PORT")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@rules_option
@CALLING
@CALLED
@click.option("--associations", type=click.IntRange(1, 64), default=1, show_default=True, help="Side by side.")
def send(peer: str, paths: tuple[Path, ...], rules: Path, calling_ae: str, called_ae: str, associations: int) -> None:
    """Send DICOM files, and those in folders, as they are: each in its own transfer syntax, its bytes unchanged.

    Exits 1 when one was not stored.
    """
    place, own = addressed(peer, rules, calling_ae, called_ae)
    skipped: list[Path] = []

    def skip(path: Path, reason: str) -> None:
        skipped.append(path)
        click.echo(printable(f"not sent: {path}: {reason.removeprefix(f'{path} ')}"), err=True)

    files = list(echo_store.find_files(paths, skip))
    if not files:
        fail("no DICOM file to send")
    results: list[echo_store.SentFile] = []
    with _progress(len(files)) as advance:

        def on_result(sent: echo_store.SentFile) -> None:
            results.append(sent)
            advance()

        asyncio.run(echo_store.FileSender(place, own, on_result, associations).send(files))
    _summary(place, results, skipped)


MOST_SHOWN = 20
"""Lines about single files; a peer that is down fails them all."""


def _summary(peer: Peer, results: list[echo_store.SentFile], skipped: list[Path]) -> None:
    stored = [sent for sent in results if sent.is_stored]
    notable = [sent for sent in results if sent.status != 0]
    for sent in notable[:MOST_SHOWN]:
        status = "no answer" if sent.status is None else f"0x{sent.status:04X}"
        reason = f": {sent.reason}" if sent.reason else ""
        word = "stored with a warning" if sent.is_stored else "failed"
        click.echo(printable(f"{word}: {sent.path}: {status}{reason}"), err=True)
    if len(notable) > MOST_SHOWN:
        click.echo(f"and {len(notable) - MOST_SHOWN} more", err=True)
    click.echo(
        f"{peer.name}: {count(len(stored), 'object')} stored ({size(sum(sent.size_bytes for sent in stored))}), "
        f"{len(results) - len(stored)} failed, {count(len(skipped), 'file')} not sent"
    )
    if skipped or len(stored) < len(results):
        raise SystemExit(exit_code.FAILURE)


def addressed(peer: str, rules: Path, calling_ae: str, called_ae: str) -> tuple[Peer, str]:
    """(the peer, our AE title), with the AE titles of the command line."""
    place, own = peer_named(peer, rules, called_ae)
    if called_ae:
        place = replace(place, associate=replace(place.associate, called_ae_title=called_ae))
    if calling_ae:
        place = replace(place, calling_ae_title=calling_ae)
    return place, own


@contextmanager
def _progress(length: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=length, label="sending", file=sys.stderr, show_pos=True) as bar:
        yield lambda: bar.update(1)
