"""`gateway init`: the first configuration of a site."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.cli.options import fail, load_rules, show_problems
from gateway.config import first_site
from gateway.config.first_site import Answers

EXAMPLE = """\b
Examples
  gateway init
  gateway init /etc/gateway/rules --ae-title GATEWAY \\
    --archive-ae-title PACS --archive-host 10.1.0.2 --archive-port 104 \\
    --modality-ae-title CT1 --modality-host 10.1.0.7"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt on a terminal."""

    field: str
    """The field of `Answers`; its option is the same with `-`."""
    text: str
    default: str | None = None
    """None: it must be answered."""

    @property
    def option(self) -> str:
        return f"--{self.field.replace('_', '-')}"


PROMPTS = (
    Prompt("ae_title", "AE title of the gateway", "GATEWAY"),
    Prompt("address", "Address to listen on; 0.0.0.0 is every address of this machine", "0.0.0.0"),  # noqa: S104
    Prompt("port", "Port to listen on", "11112"),
    Prompt("archive_ae_title", "AE title of the archive"),
    Prompt("archive_host", "Host name or IP address of the archive"),
    Prompt("archive_port", "Port of the archive"),
    Prompt("modality_ae_title", "AE title of the modality"),
    Prompt("modality_host", "IP address (or network) from which the modality calls"),
)


@click.command(epilog=EXAMPLE)
@click.argument("folder", type=click.Path(path_type=Path), default="rules", required=False)
@click.option("--ae-title", metavar="TITLE", help="AE title of the gateway  [default: GATEWAY].")
@click.option("--address", metavar="IP", help="To listen on  [default: 0.0.0.0, every address].")
@click.option("--port", metavar="PORT", help="To listen on  [default: 11112].")
@click.option("--archive-ae-title", metavar="TITLE", help="AE title of the archive.")
@click.option("--archive-host", metavar="HOST", help="Name or IP address of the archive.")
@click.option("--archive-port", metavar="PORT", help="Port of the archive.")
@click.option("--modality-ae-title", metavar="TITLE", help="AE title of the modality.")
@click.option("--modality-host", metavar="IP", help="Address from which it calls, or its network (10.1.0.0/16).")
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="For health, metrics and `gateway status`; never asked for  [default: 127.0.0.1:8080].",
)
@click.option("--data", metavar="FOLDER", help="For spool and database; never asked for  [default: var].")
def init(folder: Path, **given: str | None) -> None:
    """Write a first configuration into FOLDER (default: ./rules): one archive, one modality, one route.

    Answers that no option gives are asked for on a terminal; without one, the options without a default are needed.
    Exits 1 when FOLDER holds YAML files already, or cannot be written; nothing is changed then. Exits 2 when an answer
    is wrong or missing.
    """
    _require_empty(folder)
    answers = _answers(given)
    _write(folder, first_site.site_yaml(answers))
    problems = load_rules(folder).problems
    show_problems(problems)
    click.echo(_next_steps(folder, answers))


def _require_empty(folder: Path) -> None:
    """Refuse a folder that has YAML files: they would make one configuration with ours."""
    if folder.exists() and not folder.is_dir():
        fail(f"{folder} is no folder; nothing was written. Name another folder")
    try:
        there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.y*ml"))
    except OSError as error:
        fail(f"{folder} cannot be read: {error.strerror}; nothing was written")
    if there:
        names = ", ".join(there[:3]) + (" and more" if len(there) > 3 else "")
        fail(f"{folder} holds YAML files already ({names}); nothing was written. Name another folder")


def _answers(given: Mapping[str, str | None]) -> Answers:
    """The answers from the options, then from the terminal. Exits 2 when one is wrong or missing."""
    found = {name: text for name, text in given.items() if text is not None}
    for name, text in found.items():
        if fault := first_site.fault(name, text):
            raise click.BadParameter(fault, param_hint=f"--{name.replace('_', '-')}")
    still_open = [prompt for prompt in PROMPTS if prompt.field not in found]
    is_terminal = sys.stdin.isatty()
    if not is_terminal:
        missing = [prompt.option for prompt in still_open if prompt.default is None]
        if missing:
            raise click.UsageError(f"standard input is no terminal to ask on; give {', '.join(missing)}")
        found |= {prompt.field: prompt.default for prompt in still_open if prompt.default is not None}
    _require_agreement(found)
    if is_terminal and still_open:
        click.echo("Enter takes what stands in brackets. Nothing is written before the last answer.")
    for prompt in still_open if is_terminal else ():
        found[prompt.field] = _prompted(prompt, found)
    return Answers(**found)


def _require_agreement(found: Mapping[str, str]) -> None:
    name, why = first_site.conflict(_so_far(found))
    if why:
        raise click.BadParameter(why, param_hint=f"--{name.replace('_', '-')}")


def _so_far(found: Mapping[str, str]) -> Answers:
    """The answers so far; those still open are empty."""
    return Answers(**{**{prompt.field: "" for prompt in PROMPTS}, **found})


def _prompted(prompt: Prompt, found: Mapping[str, str]) -> str:
    """The answer to one prompt, repeated until it is right, also beside the answers before it."""

    def checked(text: str) -> str:
        if fault := first_site.fault(prompt.field, text):
            raise click.UsageError(fault)
        _, why = first_site.conflict(_so_far({**found, prompt.field: text}))
        if why:
            raise click.UsageError(why)
        return text

    return str(click.prompt(prompt.text, default=prompt.default, value_proc=checked))


def _write(folder: Path, text: str) -> None:
    """The file, whole or not at all; one that appeared meanwhile stays. Exits 1 when it cannot be written."""
    path = folder / first_site.FILE
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(text)
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError as error:
        fail(f"{error.filename} is there already; nothing was written. Name another folder")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def _next_steps(folder: Path, answers: Answers) -> str:
    """The next steps, as commands that can be copied."""
    is_default = folder == Path("rules")
    rules = "" if is_default else f" {shlex.quote(str(folder))}"
    option = "" if is_default else f" --rules {shlex.quote(str(folder))}"
    host = "127.0.0.1" if answers.address == "0.0.0.0" else "::1" if answers.address == "::" else answers.address  # noqa: S104
    place = f"[{host}]:{int(answers.port)}" if ":" in host else f"{host}:{int(answers.port)}"
    title = shlex.quote(answers.ae_title.strip(" "))
    steps = (
        (f"gateway validate{rules}", "is what it says right?"),
        (f"gateway doctor{rules}", "is what it names there: archive, disk, ports?"),
        (f"gateway run{rules}", "receive and forward, until Ctrl-C"),
        (f"gateway echo {place} --called-ae {title} --calling-ae {title}", "in another terminal: does it answer?"),
        (f"gateway echo archive{option}", "does the archive?"),
        (f"gateway status{option}", "what it does, and what is the matter"),
    )
    width = min(60, max(len(command) for command, _ in steps))
    listed = "\n".join(f"  {command:<{width}}  # {why}" for command, why in steps)
    return (
        f"written: {folder / first_site.FILE}\n\nNext:\n{listed}\n\n"
        f"Then let the modality {answers.modality_ae_title.strip(' ')} send to AE title {answers.ae_title.strip(' ')}, "
        f"port {int(answers.port)} of this machine.\n"
        f"`gateway queue list{option}` shows what waits, and why."
    )
