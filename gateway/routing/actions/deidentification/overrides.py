"""The site's rulings on single attributes, which win over the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.dataset.dictionary import creator_of, is_private, is_private_creator
from gateway.dataset.rewrite import ItemPath
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import KEEP, REMOVE, Change, RewriteElement


@dataclass(frozen=True, slots=True)
class Override:
    """`change` for the attribute at a path; without sequences in it, for the attribute at every level."""

    steps: tuple[tuple[int, int | None], ...]
    change: Change

    def covers(self, path: ItemPath) -> bool:
        """True when an element that lies at `path` is meant."""
        if not self.steps:
            return True
        return len(self.steps) == len(path) and all(
            sequence == tag and wanted in (None, index)
            for (sequence, wanted), (tag, index) in zip(self.steps, path, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Overrides:
    """All of a configuration. Among those for one attribute, a path with more sequences comes first."""

    by_tag: Mapping[int, tuple[Override, ...]]
    by_creator: Mapping[tuple[str, int, int], tuple[Override, ...]]
    """Rulings on private attributes named by creator: (private creator, group, element within the block)."""
    kept_creators: frozenset[tuple[str, int]]
    """(private creator, group) of private attributes to keep: the creator stays with them."""
    kept_blocks: frozenset[int]
    """Private creator elements of private attributes to keep that were named by tag."""

    def change_of(self, element: RewriteElement) -> Change | None:
        """The site's change of `element`; None when there is none."""
        tag = element.tag
        found = self.by_tag.get(tag, ())
        if is_private(tag):
            found += self.by_creator.get((element.private_creator, tag >> 16, tag & 0xFF), ())
        for override in found:
            if override.covers(element.path):
                return override.change
        return KEEP if is_private_creator(tag) and self._reserves_kept(element) else None

    def covers_sequence(self, tag: int, path: ItemPath) -> bool:
        """True when the site says what becomes of the sequence `tag` at `path`."""
        return any(override.covers(path) for override in self.by_tag.get(tag, ()))

    def _reserves_kept(self, element: RewriteElement) -> bool:
        group = element.tag >> 16
        return element.tag in self.kept_blocks or any((text, group) in self.kept_creators for text in element.values)


NO_OVERRIDES = Overrides({}, {}, frozenset(), frozenset())


@lru_cache(maxsize=256)
def overrides_of(
    keep: tuple[AttributePath, ...], remove: tuple[AttributePath, ...], empty: tuple[AttributePath, ...]
) -> Overrides:
    """The overrides that keep, remove and empty the attributes at these paths."""
    if not (keep or remove or empty):
        return NO_OVERRIDES
    by_tag: dict[int, tuple[Override, ...]] = {}
    by_creator: dict[tuple[str, int, int], tuple[Override, ...]] = {}
    changes: tuple[tuple[Iterable[AttributePath], Change], ...] = ((keep, KEEP), (remove, REMOVE), (empty, ()))
    for paths, change in changes:
        for path in paths:
            override = Override(path.steps, change)
            if path.creator:
                block = (path.creator, path.tag >> 16, path.tag & 0xFF)
                by_creator[block] = _longest_first(*by_creator.get(block, ()), override)
            else:
                by_tag[path.tag] = _longest_first(*by_tag.get(path.tag, ()), override)
    return Overrides(
        by_tag,
        by_creator,
        frozenset((path.creator, path.tag >> 16) for path in keep if path.creator),
        frozenset(creator_of(path.tag) for path in keep if is_private(path.tag) and not path.creator),
    )


def _longest_first(*overrides: Override) -> tuple[Override, ...]:
    return tuple(sorted(overrides, key=lambda override: -len(override.steps)))
