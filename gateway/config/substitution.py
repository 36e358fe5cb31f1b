"""``${NAME}``, ``${NAME:-default}`` and ``${file:PATH}`` in scalars; ``$${`` stands for a literal ``${``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<body>[^}]*)(?P<end>\}?)")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_LIMIT_BYTES = 1024 * 1024


class SubstitutionError(Exception):
    """A reference that cannot be resolved. The message never holds a resolved value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Substituted:
    """A scalar's text after substitution."""

    text: str = field(repr=False)
    is_changed: bool
    """True when something from the environment or a file came in."""
    is_whole: bool
    """True when the scalar is one reference and nothing else."""


def substitute(text: str, environ: Mapping[str, str], folder: Path) -> Substituted:
    """Resolve the references in `text`; paths are relative to `folder`, the folder of the YAML file.

    Raises:
        SubstitutionError: a variable is not set, a file cannot be read, or a reference is malformed.
    """
    if "${" not in text:
        return Substituted(text, is_changed=False, is_whole=False)
    is_changed = False

    def resolve(match: re.Match[str]) -> str:
        nonlocal is_changed
        if match["escape"]:
            return "${"
        if not match["end"]:
            raise SubstitutionError("bad-substitution", f"`{match[0]}` has no closing `}}`")
        is_changed = True
        return _value(match["body"], environ, folder)

    first = REFERENCE.match(text)
    is_whole = first is not None and first.end() == len(text) and not first["escape"]
    return Substituted(REFERENCE.sub(resolve, text), is_changed=is_changed, is_whole=is_whole)


def _value(body: str, environ: Mapping[str, str], folder: Path) -> str:
    if body.startswith("file:"):
        return _file(body.removeprefix("file:"), folder)
    name, has_default, default = body.partition(":-")
    if not NAME.fullmatch(name):
        raise SubstitutionError(
            "bad-substitution",
            f"`${{{body}}}` is not `${{NAME}}`, `${{NAME:-default}}` or `${{file:PATH}}`; a literal `${{` is `$${{`",
        )
    value = environ.get(name, "")
    if value:
        return value
    if has_default:
        return default
    if name in environ:
        return value
    raise SubstitutionError(
        "missing-variable",
        f"the environment variable {name} is not set; set it, or write a default: `${{{name}:-value}}`",
    )


def _file(name: str, folder: Path) -> str:
    path = folder / name
    try:
        with path.open("rb") as stream:
            content = stream.read(SECRET_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SubstitutionError("unreadable-file", f"cannot read the file `{name}`: {reason}") from error
    if len(content) > SECRET_LIMIT_BYTES:
        raise SubstitutionError("unreadable-file", f"the file `{name}` is larger than 1 MiB")
    try:
        return content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SubstitutionError("unreadable-file", f"the file `{name}` is not UTF-8 text") from error
