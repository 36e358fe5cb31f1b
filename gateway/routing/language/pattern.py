"""Regular expressions of users: RE2, linear in the text, and replacements that cannot grow without bound.

Linear is not yet quick. Where its automaton grows too large, RE2 follows every step of an expression at every
character, and finding every place may begin anew behind each. So the size of expressions is bounded, and for large ones
the length of texts; replacing has an allowance of processor time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import re2

MAX_PATTERN_MEMORY_BYTES = 8 << 20
MAX_PROGRAM = 5000
"""Instructions that RE2 makes of an expression: about one a character that it can stand for."""
MAX_STEPS = 50_000_000
"""Instructions times characters: half a second at worst."""
MAX_REPLACING_S = 1.0


_LITERAL = re.compile(r"(\^?)([A-Za-z0-9 _/:,;=@#%&<>!~'\"-]+)(\$?)", re.ASCII)
"""An expression that is a text to be found, at its place if it names one; what is in it means nothing else to RE2."""


class Allowance:
    """Processor time for the replacements of one action on one object."""

    __slots__ = ("_clock", "_end_s")

    def __init__(self, limit_s: float = MAX_REPLACING_S, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._end_s = clock() + limit_s

    def check(self) -> None:
        """Raises OverflowError when it is used up."""
        if self._clock() > self._end_s:
            raise OverflowError("finding every place of the expression takes too long")


class Regex:
    """A regular expression in linear time (RE2 syntax); `search` finds it anywhere in a text."""

    __slots__ = ("_compiled", "_finding", "most_characters", "search", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with RE2's reason."""
        self._compiled: Any = _compiled(text)
        program = self._compiled.programsize
        if program > MAX_PROGRAM:
            raise ValueError(
                f"the regular expression is too large: {program} steps, at most {MAX_PROGRAM} are allowed; a list of "
                "texts is better compared with `in` and a file"
            )
        # Without groups RE2 need not keep track of them.
        self._finding: Any = _compiled(text, never_capture=True) if self._compiled.groups else self._compiled
        self.most_characters = MAX_STEPS // program
        """The most characters of all texts together that `search` may look through in one object."""
        self.text = text
        self.search: Callable[[str], bool] = _of_literal(text) or self._found
        """True where it is found in a text."""

    def _found(self, value: str) -> bool:
        return self._finding.search(value.encode()) is not None  # of bytes RE2 need not say where in the text it is

    @property
    def groups(self) -> int:
        """The number of capturing groups."""
        return int(self._compiled.groups)

    def replaced(
        self, value: str, replacement: ReplacementParts, limit_characters: int, allowance: Allowance | None = None
    ) -> str:
        """`value` with every place where this is found replaced.

        Raises:
            OverflowError: the result would have more than `limit_characters`, found out before it is made; or it takes
                too long.
        """
        if len(value) * (self.groups + 1) > self.most_characters:
            raise OverflowError(f"a text of {len(value)} characters is too long for so large an expression")
        allowance = allowance or Allowance()
        pieces: list[str] = []
        position = length = 0
        for match in self._compiled.finditer(value):
            allowance.check()
            start, end = match.span()
            new = [value[position:start], *(one if isinstance(one, str) else match[one] or "" for one in replacement)]
            length += sum(map(len, new))
            if length > limit_characters:
                raise OverflowError(f"a text of more than {limit_characters} characters comes up")
            pieces += new
            position = end
        if length + len(value) - position > limit_characters:
            raise OverflowError(f"a text of more than {limit_characters} characters comes up")
        return "".join([*pieces, value[position:]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Regex({self.text!r})"


def _of_literal(text: str) -> Callable[[str], bool] | None:
    """The search of an expression that is a text, without RE2; None for any other."""
    literal = _LITERAL.fullmatch(text)
    if literal is None:
        return None
    start, found, end = literal.groups()
    if start and end:
        return found.__eq__
    if start:
        return lambda value: value.startswith(found)
    if end:
        return lambda value: value.endswith(found)
    return lambda value: found in value


def _compiled(text: str, *, never_capture: bool = False) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    options.never_capture = never_capture
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(
            f"not a regular expression that RE2 takes: {reason.decode() if isinstance(reason, bytes) else reason}"
        ) from None


ReplacementParts = Sequence[str | int]
"""Texts, and numbers of groups, in order."""

_DIGITS = frozenset("0123456789")
_REFERENCE = re.compile(r"\\(\d|\\|.?)", re.DOTALL)


def replacement_of(text: str, pattern: Regex) -> tuple[str | int, ...]:
    r"""The parts of a replacement: ``\1`` to ``\9`` are groups, ``\0`` is all that was found, ``\\`` a backslash.

    Raises:
        ValueError: another letter after a backslash, or a group that `pattern` does not have.
    """
    parts: list[str | int] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[position : match.start()])
        position = match.end()
        if match[1] == "\\":
            parts.append("\\")
            continue
        if match[1] not in _DIGITS:
            raise ValueError(f"{match[0]!r} in a replacement means nothing; \\1 is a group, \\\\ a backslash")
        number = int(match[1])
        if number > pattern.groups:
            raise ValueError(f"the replacement names group {number}, but the pattern has {pattern.groups or 'none'}")
        parts.append(number)
    parts.append(text[position:])
    return tuple(part for part in parts if part != "")
