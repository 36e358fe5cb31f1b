"""`gateway password`: a line for a password file."""

from __future__ import annotations

import sys

import click

from gateway.cli.options import fail
from gateway.identity import password_file


@click.command(
    epilog="\b\nExamples\n"
    "  gateway password ct1 >> passwords.txt\n"
    "  pass show ct1 | gateway password ct1 >> passwords.txt"
)
@click.argument("user")
def password(user: str) -> None:
    """Print a line `USER:hash` for the `password_file` of a user identity.

    The passcode is asked for, twice; or it is the first line of the standard input, where that is no terminal.
    """
    if sys.stdin.isatty():
        passcode = click.prompt("Passcode", hide_input=True, confirmation_prompt=True, err=True)
    else:
        passcode = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    try:
        click.echo(password_file.entry(user, passcode))
    except ValueError as error:
        fail(str(error))
