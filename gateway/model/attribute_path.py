"""Paths of attributes, compiled."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AttributePath:
    """A place in a data set: sequence steps, then a tag. Made by `gateway.routing.language.attribute_path.parse`."""

    tag: int
    steps: tuple[tuple[int, int | None], ...] = ()
    """(sequence tag, item index from 0, or None for every item), outermost first."""
    text: str = field(default="", compare=False)
    """The path as it was written, for messages."""
    creator: str = ""
    """Private creator of the attribute (PS3.5 §7.8.1). Then the block of `tag` is only a stand-in, 10: the object says
    in which block that creator's elements lie."""
    step_creators: tuple[str, ...] = ()
    """The same for each of `steps`, empty where a step's tag is as written; () when all are."""

    @property
    def is_by_creator(self) -> bool:
        """True when an object's private creators are needed to follow the path."""
        return bool(self.creator or self.step_creators)
