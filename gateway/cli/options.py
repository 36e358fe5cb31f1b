"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from gateway import config
from gateway.common.plain_text import printable
from gateway.common.quantity import ADDRESS, DURATION, duration_s, host_and_port
from gateway.lifecycle import exit_code
from gateway.model.peer import Peer
from gateway.model.problem import Problem
from gateway.model.settings import Settings

if TYPE_CHECKING:
    from gateway.config import Loaded
    from gateway.routing.table import RoutingTable

    _FloatType = click.ParamType[float]
else:
    _FloatType = click.ParamType  # not generic in older releases

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., Any])

FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output."
)
RULES_HELP = "Folder of YAML files, or one file."


def rules_argument(command: CommandFunction) -> CommandFunction:
    """The rules as an optional argument."""
    path = click.Path(path_type=Path)
    return click.argument("rules", type=path, default="rules", envvar="GATEWAY_RULES", required=False)(command)


def rules_option(command: CommandFunction) -> CommandFunction:
    """The rules as an option, where arguments mean something else."""
    return click.option(
        "--rules",
        type=click.Path(path_type=Path),
        default="rules",
        envvar="GATEWAY_RULES",
        show_default=True,
        show_envvar=True,
        help=RULES_HELP,
    )(command)


def load_rules(path: Path) -> Loaded:
    """Load the rules with the variables of our environment."""
    return config.load(path, os.environ)


def usable_table(path: Path) -> RoutingTable:
    """The routing table; exits 78 with every problem when there is none."""
    loaded = load_rules(path)
    if loaded.table is None:
        show_problems(loaded.problems)
        fail(f"{path}: the configuration has errors", exit_code.CONFIGURATION)
    return loaded.table


def process_settings(path: Path) -> Settings:
    """The `gateway:` section, whatever is wrong elsewhere: rules in the making must not hide the queue.

    Exits 78 with every problem when it cannot be trusted.
    """
    settings, problems = settings_or_problems(path)
    if settings is None:
        show_problems(problems)
        fail(f"{path}: the configuration has errors", exit_code.CONFIGURATION)
    return settings


def settings_or_problems(path: Path) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The `gateway:` section, read without the rest; or None and every problem of the whole configuration."""
    settings = config.process_settings(path, os.environ)
    return (settings, ()) if settings is not None else (None, load_rules(path).problems)


def show_problems(problems: tuple[Problem, ...]) -> None:
    """Print one line a problem on standard error."""
    for problem in problems:
        click.echo(str(problem), err=True)


def fail(message: str, code: int = exit_code.FAILURE) -> NoReturn:
    """Say why, and exit."""
    click.echo(f"gateway: {printable(message)}", err=True)
    raise SystemExit(code)


def parsed_address(text: str, param_hint: str = "PEER") -> tuple[str, int]:
    """HOST:PORT; exits 2 when it is none."""
    if not re.fullmatch(ADDRESS, text):
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint=param_hint)
    host, port = host_and_port(text)
    if not 1 <= port <= 65535:
        raise click.BadParameter(f"{text!r}: a port is a number from 1 to 65535", param_hint=param_hint)
    return host, port


def peer_named(text: str, rules: Path, called_ae_title: str) -> tuple[Peer, str]:
    """(the peer `text` names, our AE title): a name of the rules, or HOST:PORT, for which no rules are needed."""
    if re.fullmatch(ADDRESS, text):
        title = called_ae_title or "ANY-SCP"
        host, port = parsed_address(text)
        return Peer(name=title, ae_title=title, host=host, port=port), "GATEWAY"
    table = usable_table(rules)
    peer = table.peers.get(text)
    if peer is None or not peer.host:
        known = ", ".join(sorted(name for name, other in table.peers.items() if other.host)) or "none"
        raise click.UsageError(f"no peer {text!r} with an address in {rules} (known: {known}), and no HOST:PORT")
    return peer, table.settings.ae_title


class Duration(_FloatType):
    """`10 s`, `5min`, `7d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if not re.fullmatch(DURATION, value):
            self.fail(f"{value!r} is no duration; write a number and ms, s, min, h or d", param, ctx)
        return duration_s(value)
