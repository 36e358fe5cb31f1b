"""`gateway demo`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from gateway import demo as demonstration
from gateway.cli.render import table
from gateway.lifecycle import exit_code, logs
from gateway.rehearsal.explain.as_text import FATES, answer_lines, difference_text


@click.command(epilog="\b\nExamples\n  gateway demo\n  gateway demo --explain\n  gateway demo --keep")
@click.option("--keep", is_flag=True, help="Go on until Ctrl-C, to send more to it.")
@click.option("--explain", is_flag=True, help="Show each rule's verdict too.")
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="error", show_default=True, help="Least level.")
def demo(keep: bool, explain: bool, log_level: str) -> None:
    """See the gateway at work.

    Starts it with a few rules in a temporary folder, and an archive beside it; sends objects that pydicom ships, and
    shows what was routed where and why. Uses the loopback interface alone and leaves nothing behind.
    """
    logs.configure(log_level)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))

        def show(done: demonstration.Demonstration) -> None:
            click.echo("\n".join(_report(done, explain=explain)))
            if keep:
                click.echo(_KEPT.format(port=done.port, rules=done.folder / "rules"))
            sys.stdout.flush()

        is_as_promised = asyncio.run(demonstration.demonstrate(folder, show, keep=keep))
    raise SystemExit(exit_code.SUCCESS if is_as_promised else exit_code.FAILURE)


_KEPT = """
The gateway goes on at 127.0.0.1:{port} with the rules in {rules}; Ctrl-C ends it. Try, in another terminal:
  gateway send 127.0.0.1:{port} FOLDER --called-ae GATEWAY
  storescu -aec GATEWAY 127.0.0.1 {port} FILE"""


def _report(done: demonstration.Demonstration, *, explain: bool) -> Iterator[str]:
    yield f"The rules, in {done.folder / 'rules'}:\n"
    yield from (f"  {line}" for line in demonstration.RULES.splitlines())
    yield f"\nThe gateway listened on 127.0.0.1:{done.port}. What was sent, and where it went:\n"
    yield table(("object", "from", "answer", "went to", "because of", "state", "arrived"), _rows(done))
    edits = [f"  {name}: {text}" for name, text in _edits(done)]
    if edits:
        yield "\nEdits on the way; every other byte is as it was sent:\n"
        yield from edits
    if explain:
        yield ""
        for trace in done.traces:
            yield from answer_lines(trace.answer, with_values=True)


def _rows(done: demonstration.Demonstration) -> Iterator[tuple[str, ...]]:
    for trace in done.traces:
        status = "none" if trace.status is None else f"0x{trace.status:04X}"
        head = (trace.file.path.name, trace.calling_ae_title, status)
        for delivery, arrived in trace.deliveries:
            where = delivery.destination or "nobody"
            why = delivery.rule if delivery.destination else f"no route; {FATES['held']}"
            yield (*head, where, why, delivery.state.value, arrived if delivery.destination else "-")
            head = ("", "", "")


def _edits(done: demonstration.Demonstration) -> Iterator[tuple[str, str]]:
    for trace in done.traces:
        for judged in (*trace.answer.coercions, *trace.answer.routes):
            if judged.differences:
                changes = "; ".join(difference_text(one, with_values=True) for one in judged.differences)
                yield trace.file.path.name, f"{judged.verdict.name}: {changes}"
