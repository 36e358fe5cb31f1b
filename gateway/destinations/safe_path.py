"""Paths made from what objects say of themselves, that cannot leave their folder. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import os.path
import re
import unicodedata
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts

MAX_NAME_BYTES = 200
"""The longest file or folder name; file systems take 255 bytes, and numbers and suffixes must still fit."""
MAX_PATH_BYTES = 3000
"""The longest path below the root; Linux takes 4096 bytes in all."""
_SEPARATORS = re.compile(r"[\x00-\x1f\x7f/\\]+")
"""Separators (also Windows's, for shares) and control characters."""
_SPECIAL = re.compile(r"""[\x00-\x1f\x7f/\\<>:"'|?*$`;&]+""")
"""Also what Windows and its shares refuse in names, and what a shell acts upon in a script without quotes."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that hide or turn text around, such as U+202E."""
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL)
"""Names of devices under Windows, whatever stands behind the first dot."""


def safe_value(text: str) -> str:
    """A value as part of one name: what separates, hides, or means something to Windows or a shell becomes `_`; no
    leading dots."""
    seen = "".join("\0" if unicodedata.category(char) in _UNSEEN else char for char in text.strip())
    return _without_leading_dots(_SPECIAL.sub("_", seen))


def _without_leading_dots(text: str) -> str:
    bare = text.lstrip(".")
    return bare if bare == text else f"_{bare}"


class SafeFacts:
    """The same facts, with every value made safe for a path."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    @cached_property
    def association(self) -> AssociationFacts:
        """Texts that the requestor chose are made safe too."""
        association = self._facts.association
        texts: dict[str, Any] = {
            field.name: safe_value(value)
            for field in dataclasses.fields(association)
            if isinstance(value := getattr(association, field.name), str)
        }
        return dataclasses.replace(association, **texts)

    @property
    def sop_class_uid(self) -> str:
        """Safe."""
        return safe_value(self._facts.sop_class_uid)

    @property
    def sop_instance_uid(self) -> str:
        """Safe."""
        return safe_value(self._facts.sop_instance_uid)

    @property
    def transfer_syntax_uid(self) -> str:
        """Safe."""
        return safe_value(self._facts.transfer_syntax_uid)

    @property
    def length_bytes(self) -> int:
        """The length of the encoded data set."""
        return self._facts.length_bytes

    @property
    def received_at(self) -> datetime:
        """The time at which the object arrived."""
        return self._facts.received_at

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """Safe texts."""
        values = self._facts.values(path)
        return None if values is None else tuple(safe_value(value) for value in values)

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """Paths have no text of the object's."""
        return self._facts.places(path)


def relative_path(rendered: str, root: str) -> PurePosixPath:
    """The path below `root` that a rendered template means, each name bounded and harmless.

    Raises:
        Refusal: it would lie elsewhere, or names no file.
    """
    if "\0" in rendered:
        raise Refusal("the path template gave a path with a zero byte")
    if rendered.startswith("/"):
        prefix = root.rstrip("/") + "/"
        if not rendered.startswith(prefix):
            raise Refusal(f"the path template gave a path outside {root}")
        rendered = rendered[len(prefix) :]
    names = [_safe_name(name) for name in rendered.split("/") if name not in ("", ".")]
    if not names or rendered.endswith("/"):
        raise Refusal("the path template gave no file name for this object: an attribute in it is empty or missing")
    path = PurePosixPath(*names)
    if len(os.path.join(root, path).encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES:
        raise Refusal(f"the path template gave a path of more than {MAX_PATH_BYTES} bytes")
    return path


def _safe_name(name: str) -> str:
    """`name` without separators, bounded, and no device, option or home folder; without dots or spaces at its end,
    which Windows drops."""
    name = _without_leading_dots(_SEPARATORS.sub("_", name.strip()))
    bare = name.rstrip(". ")
    name = name if bare == name else f"{bare}_"
    if name.startswith(("-", "~")) or _DEVICES.fullmatch(name):
        name = f"_{name}"
    raw = name.encode("utf-8", "replace")
    if len(raw) <= MAX_NAME_BYTES:
        return raw.decode()
    # two long names must not become one: the end goes, a digest of the whole comes
    digest = hashlib.sha256(raw).hexdigest()[:16]
    suffix = PurePosixPath(name).suffix[:16]
    kept = raw[: MAX_NAME_BYTES - len(digest) - 1 - len(suffix.encode("utf-8", "replace"))].decode("utf-8", "ignore")
    return f"{kept}-{digest}{suffix}"
