"""The `gateway` command and its sub-commands."""

from __future__ import annotations

import click

from gateway import __version__
from gateway.cli.lazy import Lazy, LazyGroup

EPILOG = """\b
Exit codes
  0   done
  1   problems in the rules, what they name, the spool or the database; something was not sent, found, or was refused
  2   wrong usage
  3   warnings under --strict
  70  a part of the running gateway died
  75  the gateway was aborted by a second signal
  78  the rules, or what they name, cannot be used
"""

HERE = "gateway.cli."
COMMANDS = {
    "init": Lazy(
        f"{HERE}init:init",
        "Write a first configuration into FOLDER (default: ./rules): one archive, one modality, one route.",
    ),
    "run": Lazy(f"{HERE}running:run", "Receive, tag and forward by RULES (default: ./rules or $GATEWAY_RULES)."),
    "validate": Lazy(
        f"{HERE}rules:validate",
        "Check RULES (default: ./rules or $GATEWAY_RULES) and print every problem with its place.",
    ),
    "doctor": Lazy(
        f"{HERE}doctor:doctor",
        "Check what RULES (default: ./rules or $GATEWAY_RULES) name: peers, ports, disks, rights, clock, certificates.",
    ),
    "schema": Lazy(f"{HERE}rules:schema", "The JSON Schema of the rules, for editors; or their reference."),
    "explain": Lazy(
        f"{HERE}explain:explain",
        "Show what would happen to objects, and why: which rules match, what changes, where it goes.",
    ),
    "test": Lazy(
        f"{HERE}test:test",
        "Run the `*.test.yaml` of RULES (default: ./rules or $GATEWAY_RULES), or one such file with the rules beside "
        "it.",
    ),
    "config": Lazy(f"{HERE}configuration:configuration", "The configuration as it is in force."),
    "echo": Lazy(f"{HERE}network:echo", "Ask a peer whether it answers (C-ECHO)."),
    "find": Lazy(
        f"{HERE}find:find",
        "Ask a peer what it has (C-FIND); `all`: every source of the rules, merged; `local`: what the gateway holds.",
    ),
    "move": Lazy(
        f"{HERE}retrieve:move",
        "Have a peer send what KEYs name to DESTINATION, an AE title that it knows (C-MOVE).",
    ),
    "get": Lazy(
        f"{HERE}retrieve:get", "Fetch what KEYs name into files of FOLDER, named by their SOP Instance UIDs (C-GET)."
    ),
    "send": Lazy(
        f"{HERE}network:send",
        "Send DICOM files, and those in folders, as they are: each in its own transfer syntax, its bytes unchanged.",
    ),
    "queue": Lazy(f"{HERE}queue:queue", "See and change what is owed to whom; safe while the gateway runs."),
    "collection": Lazy(
        f"{HERE}collection:collection",
        "See, end and discard studies and series that are collected; safe while the gateway runs.",
    ),
    "operations": Lazy(
        f"{HERE}operations:operations",
        "Show what operators did, the newest first: who, when, why, and to how many deliveries.",
    ),
    "trace": Lazy(
        f"{HERE}trace:trace_",
        "Tell where something is: what came and when, by which rules it goes where, every delivery with its attempts.",
    ),
    "password": Lazy(
        f"{HERE}password:password", "Print a line `USER:hash` for the `password_file` of a user identity."
    ),
    "status": Lazy(f"{HERE}running:status", "Show what the running gateway is doing (needs `gateway.http`)."),
    "reload": Lazy(f"{HERE}running:reload", "Have the running gateway load its rules again, and report the result."),
    "check": Lazy(f"{HERE}repair:check", "Read the whole spool and the database of RULES, and report the damage."),
    "rebuild": Lazy(
        f"{HERE}repair:rebuild",
        "Make the database of RULES anew from the spool, and from what can still be read of the old database.",
    ),
    "store": Lazy(f"{HERE}store:store", "Move everything that a stopped gateway holds into another store."),
    "demo": Lazy(f"{HERE}demonstrate:demo", "See the gateway at work."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="gateway")
def main() -> None:
    """A declarative DICOM routing gateway.

    \b
    gateway demo                     see it at work
    gateway init                     write a first configuration
    gateway validate rules/          check a configuration
    gateway doctor rules/            check what it names
    gateway run rules/               receive, tag and forward
    """
