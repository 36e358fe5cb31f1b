"""The located tree: YAML nodes that know their place, and views of them.

Thousands of rules are hundreds of thousands of nodes: they are msgspec's structs, which are made in a tenth of a
dataclass's time, and what goes through all of them asks for their types, a tenth of a pattern's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.common.setting_faults import hidden
from gateway.model.problem import Mark

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Step = str | int


class ScalarNode(Struct, frozen=True, gc=False):
    """One scalar: `value` by the YAML 1.2 core schema, `text` with ``${…}`` resolved, `written` as in the file."""

    mark: Mark
    value: bool | int | float | str | None
    text: str
    written: str
    is_secret: bool = False
    """True when a part came from the environment or a file; messages then show `written` alone."""

    def __repr__(self) -> str:
        return f"ScalarNode({self.mark!r}, written={self.written!r}, is_secret={self.is_secret})"


class SequenceNode(Struct, frozen=True, gc=False):
    mark: Mark
    items: tuple[Node, ...]


class MappingEntry(Struct, frozen=True, gc=False):
    """A key's place and its value."""

    mark: Mark
    node: Node


class MappingNode(Struct, frozen=True, gc=False):
    mark: Mark
    entries: Mapping[str, MappingEntry]
    lost: frozenset[str] = frozenset()
    """Keys whose values were wrong and already reported; nobody reports them as missing."""


class BrokenNode(Struct, frozen=True, gc=False):
    """A value that could not be read and was already reported."""

    mark: Mark


Node = ScalarNode | SequenceNode | MappingNode | BrokenNode


def plain(node: Node) -> Plain:
    """The tree below `node` as ordinary values, without places."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, MappingNode):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return None


def lossless(node: Node) -> Plain:
    """As `plain`, but a scalar that would lose its spelling stays text: ``1.50``, ``TRUE``."""
    if isinstance(node, ScalarNode):
        value = node.value
        if value is None or isinstance(value, str | bool) or str(value) == node.text:
            return value
        return node.text
    if isinstance(node, MappingNode):
        return {key: lossless(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [lossless(item) for item in node.items]
    return None


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


class Place(Struct, frozen=True, gc=False):
    """A node together with the place of the key or list item that holds it."""

    node: Node
    holder: Mark
    """The place of its key; for list items and the root the node's own place."""

    @property
    def mark(self) -> Mark:
        """The place of the value."""
        return self.node.mark

    def child(self, step: Step) -> Place | None:
        """The place one step below; None when nothing is written there."""
        node = self.node
        if isinstance(node, MappingNode):
            entry = node.entries.get(step)  # type: ignore[arg-type]  # an index is no key
            return None if entry is None else Place(entry.node, entry.mark)
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            item = node.items[step]
            return Place(item, item.mark)
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
        """The text in the file one step below, for messages; `default` when there is none."""
        below = self.child(step)
        return below.node.written if below and isinstance(below.node, ScalarNode) else default

    @property
    def items(self) -> list[Place]:
        """The places of a list's items; none when it is no list."""
        node = self.node
        return [Place(item, item.mark) for item in node.items] if isinstance(node, SequenceNode) else []

    @property
    def lost(self) -> frozenset[str]:
        """The settings right here whose values were wrong and already reported."""
        return self.node.lost if isinstance(self.node, MappingNode) else frozenset()

    @property
    def shown(self) -> str:
        """The text in the file, for messages; never a resolved secret."""
        match self.node:
            case ScalarNode(value=value, written=""):
                return "nothing" if value is None else "an empty text"
            case ScalarNode():
                text = self.node.written.replace("\n", "\\n")
                return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
            case MappingNode():
                return "a mapping"
            case SequenceNode():
                return "a list"
            case BrokenNode():
                return "an unreadable value"


def without_secrets(message: str, place: Place) -> str:
    """`message`, unless something from the environment or a file stands at `place`: the message might quote it."""
    if not substituted(place.node):
        return message
    return hidden(place.shown)


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
