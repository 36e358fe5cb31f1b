"""The command line: arguments in, text out. What the commands do is done elsewhere."""

from gateway.cli.commands import main

__all__ = ["main"]
