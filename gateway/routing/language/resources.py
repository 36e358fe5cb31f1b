"""The resources of a configuration besides the settings of its kinds: secrets by name, and tables in files.

A table is a text file (UTF-8) beside the YAML file that names it. ``*.csv`` (comma) and ``*.tsv`` (tab) hold rows of
two columns, or all of one; any other file holds one value a line. Spaces around values, empty lines and lines that
begin with ``#`` do not count; a header is written as such a line. Messages give places, never content: a table may name
patients.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from gateway.common.regular_file import read_regular_file
from gateway.common.setting_faults import did_you_mean, quoted
from gateway.ports.kinds import Predicate, Resources
from gateway.routing.language.fields import TableFile

TABLE_LIMIT_BYTES = 16 * 1024**2
MIN_KEY_CHARACTERS = 16
DELIMITERS = {".csv": ",", ".tsv": "\t"}


class FileResources:
    """The resources of one configuration. A file is read once, when it is first named.

    `folders` are those of the YAML files: there a name is looked for that was not read through `beside`, which happens
    with actions that were stored under an earlier configuration. `conditions` says what a named condition stands for.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes] | None = None,
        folders: Iterable[Path] = (),
        conditions: Callable[[str], Predicate] | None = None,
    ) -> None:
        self._keys = dict(keys or {})
        self._conditions = conditions
        self._folders = tuple(folders)
        self._paths: dict[str, Path] = {}
        self._tables: dict[Path, tuple[TableFile, bytes]] = {}
        """Each table by its path, with the SHA-256 of the file."""
        self._folders_of_files: dict[str, Path] = {}

    def table(self, path: str) -> TableFile:
        """The rows of the file that is written `path`. Raises ValueError with what is wrong with it."""
        known = self._paths.get(path)
        if known is not None:
            return self._read(known, path)
        places = [Path(os.path.abspath(folder / path)) for folder in self._folders]
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            raise ValueError(f"cannot read the file {path!r}: it is not there")
        return self._read(there, path)

    def key(self, name: str) -> bytes:
        """The secret of this name. Raises ValueError when there is none."""
        secret = self._keys.get(name)
        if secret is None:
            raise ValueError(f"the section `keys` has no {quoted(name)}{did_you_mean(name, self._keys)}")
        return secret

    def condition(self, name: str) -> Predicate:
        """The condition of this name. Raises ValueError when it cannot be used."""
        if self._conditions is None:
            raise ValueError(f"no condition is named {name!r}")
        return self._conditions(name)

    def beside(self, folder: Path) -> Resources:
        """The same for a YAML file in `folder`: relative paths are relative to it."""
        return _Beside(self, folder)

    def of_file(self, path: str) -> Resources:
        """`beside` for the folder of the YAML file `path`, relative to the current folder of the first time."""
        folder = self._folders_of_files.get(path)
        if folder is None:
            folder = self._folders_of_files[path] = Path(path).absolute().parent
        return self.beside(folder)

    def digest(self) -> bytes:
        """The digest of all tables that were read, by the names they were read under; empty when there were none."""
        if not self._paths:
            return b""
        whole = hashlib.sha256()
        for name in sorted(self._paths):
            whole.update(f"{name}\0".encode() + self._tables[self._paths[name]][1])
        return whole.digest()

    def named(self, path: str, place: Path) -> TableFile:
        """Read `place` as what `path` means everywhere in this configuration.

        Raises:
            ValueError: it cannot be read, or `path` means another file in another folder: stored actions keep the
                name alone.
        """
        first = self._paths.get(path)
        if first is not None and first != place:
            raise ValueError(f"{path!r} is {place} here and {first} elsewhere; give the files different names")
        rows = self._read(place, path)
        self._paths[path] = place
        return rows

    def _read(self, place: Path, path: str) -> TableFile:
        if place not in self._tables:
            content = _content(place, path)
            self._tables[place] = (_table(content, path), hashlib.sha256(content).digest())
        return self._tables[place][0]

    def __repr__(self) -> str:
        return f"FileResources({len(self._keys)} keys, {len(self._paths)} files)"


class _Beside:
    """`FileResources` as one folder sees them."""

    def __init__(self, resources: FileResources, folder: Path) -> None:
        self._resources = resources
        self._folder = folder

    def table(self, path: str) -> TableFile:
        return self._resources.named(path, Path(os.path.abspath(self._folder / path)))

    def key(self, name: str) -> bytes:
        return self._resources.key(name)

    def condition(self, name: str) -> Predicate:
        return self._resources.condition(name)


NO_RESOURCES = FileResources()
"""The resources of a configuration without keys and files."""


def _content(place: Path, path: str) -> bytes:
    try:
        content = read_regular_file(place, TABLE_LIMIT_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise ValueError(f"cannot read the file {path!r}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > TABLE_LIMIT_BYTES:
        raise ValueError(f"the file {path!r} is larger than {TABLE_LIMIT_BYTES // 1024**2} MiB")
    return content


def _table(content: bytes, path: str) -> TableFile:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"the file {path!r} is not UTF-8 text (line {line})") from None
    if "\0" in text:
        raise ValueError(f"the file {path!r} is not text: it holds zero bytes")
    delimiter = DELIMITERS.get(os.path.splitext(path)[1].casefold(), "")
    rows: dict[str, tuple[str, int]] = {}
    columns = 0
    for line, values in _rows(text, delimiter, path):
        columns = columns or len(values)
        if len(values) > 2 or len(values) != columns:
            raise ValueError(f"{path!r}, line {line}: {len(values)} columns; every row has one, or every row two")
        value = values[1] if columns == 2 else ""
        first = rows.setdefault(values[0], (value, line))
        if first[0] != value:
            raise ValueError(f"{path!r}, line {line}: what stands first is in line {first[1]} with another value")
    if not rows:
        raise ValueError(f"the file {path!r} holds no rows")
    table = TableFile((key, value) for key, (value, _line) in rows.items())
    table.lines = tuple(line for _value, line in rows.values())
    return table


def _rows(text: str, delimiter: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """(line, its values) of what is neither empty nor a comment."""
    if not delimiter:
        for line, value in enumerate(text.splitlines(), 1):
            if value.strip() and not value.lstrip().startswith("#"):
                yield line, [value.strip()]
        return
    reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for values in reader:
            stripped = [value.strip() for value in values]
            if any(stripped) and not stripped[0].startswith("#"):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise ValueError(f"{path!r}, line {reader.line_num}: {error}") from None
