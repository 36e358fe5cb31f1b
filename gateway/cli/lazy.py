"""A group of commands that are imported when they are called, so that each pays for its own imports alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

LONGEST_HELP = 200
"""Characters of the line of a command, before it is cut to the width of the terminal."""


@dataclass(frozen=True, slots=True)
class Lazy:
    """The place of a command, and its line in the list of commands."""

    place: str
    """`module:attribute`."""
    help: str
    """The first sentence of its help."""


class LazyGroup(click.Group):
    """Knows its commands by name; a listing and the completion of names import none of them."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, Lazy] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        rows = [(name, shortened(self._help_of(name), limit)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self._help_of(name)) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def _help_of(self, name: str) -> str:
        """The line of one command, whether it is imported when it is called or is here."""
        return self.lazy[name].help if name in self.lazy else self.commands[name].get_short_help_str(LONGEST_HELP)


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, cut between words."""
    if len(text) <= limit:
        return text
    return text[: limit - 2].rpartition(" ")[0] + "..."
