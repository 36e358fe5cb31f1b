"""Lines of password files whose hashes are cheap; those of `gateway.identity.password_file.entry` take a tenth of a
second each, to make and to verify."""

from __future__ import annotations

from argon2 import PasswordHasher

_CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def password_line(user: str, passcode: str) -> str:
    """With its end; the hash names its own costs, and is verified as any other."""
    return f"{user}:{_CHEAP.hash(passcode)}\n"
