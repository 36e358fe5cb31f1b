"""The located tree: YAML nodes that know their place, and views of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.problem import Mark

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Step = str | int
Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One scalar: `value` by the YAML 1.2 core schema, `text` with ``${…}`` resolved, `written` as in the file."""

    mark: Mark
    value: bool | int | float | str | None = field(repr=False)
    text: str = field(repr=False)
    written: str
    is_secret: bool = False
    """True when a part came from the environment or a file; messages then show `written` alone."""


@dataclass(frozen=True, slots=True)
class SequenceNode:
    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """A key's place and its value."""

    mark: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    mark: Mark
    entries: Mapping[str, MappingEntry]
    lost: frozenset[str] = frozenset()
    """Keys whose values were wrong and already reported; nobody reports them as missing."""


@dataclass(frozen=True, slots=True)
class BrokenNode:
    """A value that could not be read and was already reported."""

    mark: Mark


Node = ScalarNode | SequenceNode | MappingNode | BrokenNode


def plain(node: Node) -> Plain:
    """The tree below `node` as ordinary values, without places."""
    match node:
        case ScalarNode():
            return node.value
        case MappingNode():
            return {key: plain(entry.node) for key, entry in node.entries.items()}
        case SequenceNode():
            return [plain(item) for item in node.items]
        case BrokenNode():
            return None


def lossless(node: Node) -> Plain:
    """As `plain`, but a scalar that would lose its spelling stays text: ``1.50``, ``TRUE``."""
    match node:
        case ScalarNode(value=str(text)):
            return text
        case ScalarNode(value=bool() | None):
            return node.value
        case ScalarNode():
            return node.value if str(node.value) == node.text else node.text
        case MappingNode():
            return {key: lossless(entry.node) for key, entry in node.entries.items()}
        case SequenceNode():
            return [lossless(item) for item in node.items]
        case _:
            return plain(node)


def substituted(node: Node) -> list[ScalarNode]:
    """The scalars below `node` that hold something from the environment or a file."""
    match node:
        case ScalarNode():
            return [node] if node.is_secret else []
        case MappingNode():
            return [scalar for entry in node.entries.values() for scalar in substituted(entry.node)]
        case SequenceNode():
            return [scalar for item in node.items for scalar in substituted(item)]
        case BrokenNode():
            return []


@dataclass(frozen=True, slots=True)
class Place:
    """A node together with the place of the key or list item that holds it."""

    node: Node
    holder: Mark
    """Where its key stands; for list items and the root the node's own place."""

    @property
    def mark(self) -> Mark:
        """Where the value stands."""
        return self.node.mark

    def child(self, step: Step) -> Place | None:
        """The place one step below; None when nothing is written there."""
        match self.node:
            case MappingNode(entries=entries) if step in entries:
                entry = entries[str(step)]
                return Place(entry.node, entry.mark)
            case SequenceNode(items=items) if isinstance(step, int) and step < len(items):
                return Place(items[step], items[step].mark)
            case _:
                return None

    def at(self, *path: Step) -> Place:
        """The place at `path`, or as far as the file goes along it."""
        place = self
        for step in path:
            below = place.child(step)
            if below is None:
                return place
            place = below
        return place

    def has(self, *path: Step) -> bool:
        """True when the file says something at `path`, be it right or wrong."""
        place: Place = self
        for step in path:
            if isinstance(place.node, MappingNode) and step in place.node.lost:
                return True
            below = place.child(step)
            if below is None:
                return False
            place = below
        return True

    def written(self, step: Step, default: str) -> str:
        """What stands in the file one step below, for messages; `default` when nothing does."""
        below = self.child(step)
        return below.node.written if below and isinstance(below.node, ScalarNode) else default

    @property
    def shown(self) -> str:
        """What stands in the file, for messages; never a resolved secret."""
        match self.node:
            case ScalarNode(value=value, written=""):
                return "nothing" if value is None else "an empty text"
            case ScalarNode():
                text = self.node.written
                return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
            case MappingNode():
                return "a mapping"
            case SequenceNode():
                return "a list"
            case BrokenNode():
                return "an unreadable value"


def discreet(message: str, place: Place) -> str:
    """`message`, unless something from the environment or a file stands at `place`: the message might quote it."""
    if not substituted(place.node):
        return message
    return f"what {place.shown} stands for is not valid here"


def without(node: Node, path: Sequence[Step]) -> Node | None:
    """The tree without what stands at `path`; None when nothing is left. A list that becomes empty goes too."""
    if not path:
        return None
    step, *rest = path
    match node:
        case MappingNode() if step in node.entries:
            key = str(step)
            entry = node.entries[key]
            below = without(entry.node, rest)
            entries = dict(node.entries)
            if below is None:
                del entries[key]
                return MappingNode(node.mark, entries, node.lost | {key})
            entries[key] = MappingEntry(entry.mark, below)
            return MappingNode(node.mark, entries, node.lost)
        case SequenceNode() if isinstance(step, int) and step < len(node.items):
            below = without(node.items[step], rest)
            kept = () if below is None else (below,)
            items = (*node.items[:step], *kept, *node.items[step + 1 :])
            return SequenceNode(node.mark, items) if items else None
        case _:
            return node


def located(value: Plain, mark: Mark) -> Node:
    """The tree of an ordinary value, all of it at one place."""
    match value:
        case dict():
            return MappingNode(mark, {key: MappingEntry(mark, located(below, mark)) for key, below in value.items()})
        case list():
            return SequenceNode(mark, tuple(located(item, mark) for item in value))
        case _:
            return ScalarNode(mark, value, str(value), str(value))


def replaced(node: Node, path: Sequence[Step], new: Node) -> Node:
    """The tree with `new` at `path`, whose last key may be new."""
    if not path:
        return new
    step, *rest = path
    match node:
        case MappingNode() if not rest and isinstance(step, str) and step not in node.entries:
            return MappingNode(node.mark, {**node.entries, step: MappingEntry(node.mark, new)}, node.lost)
        case MappingNode() if step in node.entries:
            entry = node.entries[str(step)]
            changed = {str(step): MappingEntry(entry.mark, replaced(entry.node, rest, new))}
            return MappingNode(node.mark, {**node.entries, **changed}, node.lost)
        case SequenceNode() if isinstance(step, int) and step < len(node.items):
            changed_item = replaced(node.items[step], rest, new)
            return SequenceNode(node.mark, (*node.items[:step], changed_item, *node.items[step + 1 :]))
        case _:
            return node
