"""``${NAME}``, ``${NAME:-default}`` and ``${file:PATH}`` in scalars; ``$${`` stands for a literal ``${``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.secret_files import SecretFileError, SecretFiles

REFERENCE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?P<body>[^}]*)(?P<end>\}?)")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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


def substitute(text: str, environ: Mapping[str, str], folder: Path, secrets: SecretFiles | None = None) -> Substituted:
    """Resolve the references in `text`; paths are relative to `folder`, the folder of the YAML file.

    `secrets` says which files may be read; by default those below `folder`.

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
        return _value(match["body"], environ, folder, secrets or SecretFiles(folder))

    first = REFERENCE.match(text)
    is_whole = first is not None and first.end() == len(text) and not first["escape"]
    return Substituted(REFERENCE.sub(resolve, text), is_changed=is_changed, is_whole=is_whole)


def _value(body: str, environ: Mapping[str, str], folder: Path, secrets: SecretFiles) -> str:
    if body.startswith("file:"):
        try:
            return secrets.read(body.removeprefix("file:"), folder)
        except SecretFileError as error:
            raise SubstitutionError("unreadable-file", str(error)) from error
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
