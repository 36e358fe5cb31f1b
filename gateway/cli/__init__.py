"""The command line: arguments in, text out. The work of the commands is done elsewhere."""

from gateway.cli.commands import main

__all__ = ["main"]
