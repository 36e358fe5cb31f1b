"""The elements of an object that a `gateway.ports.edits.Rewrite` means, by the paths of its settings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gateway.dataset.dictionary import is_private, is_private_creator, private_vr_of, vr_of
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import RewriteElement


def is_of(element: RewriteElement, vrs: frozenset[str]) -> bool:
    """True when the element says that it has one of `vrs`, or the dictionary says so: either may be wrong."""
    private = is_private(element.tag) and not is_private_creator(element.tag)
    known = private_vr_of(element.tag, element.private_creator) if private else vr_of(element.tag)
    return element.vr in vrs or known in vrs


def names(path: AttributePath, element: RewriteElement) -> bool:
    """True when `path` leads to `element`; without sequences in it, a path names the attribute at every level."""
    if path.creator:
        is_here = path.creator == element.private_creator and not (path.tag ^ element.tag) & 0xFFFF00FF
    else:
        is_here = path.tag == element.tag
    return is_here and (not path.steps or _leads_into(path.steps, element.path))


def _leads_into(steps: tuple[tuple[int, int | None], ...], path: tuple[tuple[int, int], ...]) -> bool:
    return len(steps) == len(path) and all(
        sequence == tag and index in (None, item) for (sequence, index), (tag, item) in zip(steps, path, strict=True)
    )


def problems_of_steps(paths: Iterable[AttributePath] | None) -> Iterable[SettingProblem]:
    """Problems of paths whose sequences are not known by tag alone."""
    for index, path in enumerate(paths or ()):
        if path.step_creators:
            yield ("attributes", index), f"{path.text}: write the private sequence with its whole tag, as 00291010[*]"


@lru_cache(maxsize=256)
def tags_of(paths: tuple[AttributePath, ...] | None) -> frozenset[int] | None:
    """The tags that a rewrite of `paths` decides about."""
    if paths is None or any(path.creator for path in paths):
        return None
    return frozenset(path.tag for path in paths)
