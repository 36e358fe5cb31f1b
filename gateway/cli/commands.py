"""The `gateway` command and its sub-commands."""

from __future__ import annotations

import click

from gateway import __version__
from gateway.cli.configuration import configuration
from gateway.cli.demonstrate import demo
from gateway.cli.explain import explain
from gateway.cli.find import find
from gateway.cli.network import echo, send
from gateway.cli.password import password
from gateway.cli.queue import queue
from gateway.cli.repair import check, rebuild
from gateway.cli.retrieve import get, move
from gateway.cli.rules import schema, validate
from gateway.cli.running import reload, run, status
from gateway.cli.test import test

EPILOG = """\b
Exit codes
  0   done
  1   problems in the rules, the spool or the database; something was not sent, not found, lost or refused
  2   wrong usage
  3   warnings under --strict
  70  a part of the running gateway died
  75  the gateway was aborted by a second signal
  78  the rules, or what they name, cannot be used
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="gateway")
def main() -> None:
    """A declarative DICOM routing gateway.

    \b
    gateway demo                     see it at work
    gateway validate rules/          check a configuration
    gateway run rules/               receive, tag and forward
    """


COMMANDS = (
    run,
    validate,
    schema,
    explain,
    test,
    configuration,
    echo,
    find,
    move,
    get,
    send,
    queue,
    password,
    status,
    reload,
    check,
    rebuild,
    demo,
)
for command in COMMANDS:
    main.add_command(command)
