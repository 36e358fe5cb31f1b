"""The rules folder → one located tree: which files are read, and how their sections become one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.common.files_below import unlisted_folders
from gateway.common.regular_file import read_regular_file
from gateway.config.findings import Findings
from gateway.config.parse import FILE_LIMIT_BYTES, parse
from gateway.config.secret_files import SecretFiles, default_folders
from gateway.config.tree import BrokenNode, MappingEntry, MappingNode, Node, Place, ScalarNode, SequenceNode
from gateway.model.problem import Mark

LIST_SECTIONS = frozenset({"coercions", "routes"})
"""Sections that are lists; the others are mappings by name, or single values."""


@dataclass(frozen=True, slots=True)
class Source:
    """All files as one tree."""

    root: MappingNode
    version: str
    """First 12 hexadecimal digits of the SHA-256 over names and content of the files."""
    is_complete: bool
    """False when a file could not be read; then a missing name proves nothing."""
    folders: tuple[Path, ...]
    """The folders that the files lie in; absolute."""


def read(path: Path, environ: Mapping[str, str], findings: Findings) -> Source:
    """Read `path`, a YAML file or a folder of them, and report what is wrong with the files themselves."""
    digest = hashlib.sha256()
    roots: list[MappingNode] = []
    files, is_complete = _files(path, findings)
    contents: dict[Path, bytes] = {}
    for file in files:
        try:
            contents[file] = read_regular_file(file, FILE_LIMIT_BYTES)
        except OSError as error:
            message = f"cannot read it: {error.strerror}{_link(file)}"
            findings.error(Mark(str(file), 1, 1), "unreadable-file", message)
            is_complete = False
    rules_folder = path if os.path.isdir(path) else path.parent  # of what may not be looked at: the parent
    secrets = SecretFiles(rules_folder, lambda: _secret_folders(contents, environ))
    for file, content in contents.items():
        name = file.relative_to(path).as_posix() if file != path else file.name
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
        node = parse(content, file, str(file), environ, findings, secrets=secrets)
        match node:
            case None:
                pass
            case MappingNode():
                roots.append(node)
            case BrokenNode():
                is_complete = False
            case _:
                findings.error(node.mark, "wrong-type", "a file holds sections such as `peers:` and `routes:`")
                is_complete = False
    root = _merged(roots, Mark(str(path), 1, 1), findings)
    folders = tuple(dict.fromkeys(file.absolute().parent for file in files))
    return Source(root, digest.hexdigest()[:12], is_complete and bool(files), folders)


def _secret_folders(contents: Mapping[Path, bytes], environ: Mapping[str, str]) -> Iterator[str]:
    """The paths of `gateway.secret_folders`, or the default ones. They are read before the references to files are
    resolved, so that no such file can name its own folder."""
    for file, content in contents.items():
        if b"secret_folders" not in content:
            continue
        root = parse(content, file, str(file), environ, Findings())
        place = Place(root, root.mark) if isinstance(root, MappingNode) else None
        if place is None or not place.has("gateway", "secret_folders"):
            continue
        written = place.at("gateway", "secret_folders").node
        for item in written.items if isinstance(written, SequenceNode) else ():
            if isinstance(item, ScalarNode):
                yield str(file.parent / item.text)
        return
    yield from default_folders(environ)


def _files(path: Path, findings: Findings) -> tuple[list[Path], bool]:
    """The files of a configuration in the order of their names, hidden ones and ``*.test.yaml`` aside; and whether all
    folders could be listed."""
    place = Mark(str(path), 1, 1)
    try:
        if path.is_file():
            return [path], True
        is_folder = path.is_dir()
    except OSError as error:
        findings.error(place, "unreadable-file", f"cannot read it: {error.strerror}")
        return [], False
    if not is_folder:
        findings.error(place, "no-such-file", "there is no such file or folder")
        return [], True
    return _files_of_folder(path, findings)


def _files_of_folder(path: Path, findings: Findings) -> tuple[list[Path], bool]:
    unlisted = [error for error in unlisted_folders(path) if not _is_hidden(Path(error.filename).relative_to(path))]
    for error in unlisted:
        message = f"cannot list the folder: {error.strerror}; the rules below it would be left out"
        findings.error(Mark(error.filename, 1, 1), "unreadable-folder", message)
    found = [file for file in path.rglob("*") if not _is_hidden(file.relative_to(path)) and not file.is_dir()]
    for folder in sorted(each for each in path.rglob("*") if each.is_symlink()):
        if folder.is_dir() and not _is_hidden(folder.relative_to(path)):
            message = f"links to folders are not followed; copy it, or link each file{_link(folder)}"
            findings.warning(Mark(str(folder), 1, 1), "folder-not-read", message)
    for file in sorted(found):
        if file.suffix in (".yml", ".YAML", ".YML"):
            findings.warning(Mark(str(file), 1, 1), "file-not-read", "only `*.yaml` is read; rename the file")
    files = sorted(file for file in found if file.suffix == ".yaml" and not file.name.endswith(".test.yaml"))
    if not files and not unlisted:
        findings.error(Mark(str(path), 1, 1), "no-configuration", "the folder holds no `*.yaml` file")
    return files, not unlisted


def _link(path: Path) -> str:
    """The target of a symbolic link, to be added to a message; empty when `path` is none."""
    return f"; it is a symbolic link to {path.resolve()}" if path.is_symlink() else ""


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _merged(roots: list[MappingNode], mark: Mark, findings: Findings) -> MappingNode:
    sections: dict[str, MappingEntry] = {}
    for root in roots:
        for name, entry in root.entries.items():
            if name.startswith("x-"):
                continue  # free room for YAML anchors
            if name in sections:
                node = _joined(name, sections[name], entry, findings)
                sections[name] = MappingEntry(sections[name].mark, node)
            else:
                sections[name] = entry
    return MappingNode(roots[0].mark if roots else mark, sections)


def _joined(section: str, first: MappingEntry, second: MappingEntry, findings: Findings) -> Node:
    match first.node, second.node:
        case SequenceNode(mark=mark, items=before), SequenceNode(items=after) if section in LIST_SECTIONS:
            return SequenceNode(mark, (*before, *after))
        case MappingNode(mark=mark, entries=before), MappingNode(entries=after):
            for name in before.keys() & after.keys():
                _twice(f"{section}.{name}", before[name].mark, after[name].mark, findings)
            return MappingNode(mark, {**before, **after, **before})
        case BrokenNode(), other:
            return other
        case other, BrokenNode():
            return other
    _twice(section, first.mark, second.mark, findings)
    return first.node


def _twice(name: str, first: Mark, second: Mark, findings: Findings) -> None:
    message = f"`{name}` is written twice; the first is at {first}"
    findings.error(second, "duplicate-name", message)
