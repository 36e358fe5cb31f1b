"""`gateway.http.operators` → operators and the token of each."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.compile_context import Context
from gateway.config.tree import Place

SHORTEST_TOKEN = 32
"""Characters: as many as nobody guesses."""


def compile_operators(tokens: Mapping[str, str], place: Place, context: Context) -> tuple[tuple[str, str], ...]:
    """Those that are in order; what is wrong is reported. A token that two have would not say who did it."""
    found: dict[str, str] = {}
    for name, text in tokens.items():
        at, token = place.at(name), text.strip()
        if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
            message = f"expected at least {SHORTEST_TOKEN} printable characters of ASCII, found {len(token)}"
            context.error(at, "bad-token", message)
        elif token in found:
            context.error(at, "duplicate-token", f"`{found[token]}` has the same token; give each operator one")
        else:
            found[token] = name
            context.warn_of_plain(at, "token")
    return tuple((name, token) for token, name in found.items())
