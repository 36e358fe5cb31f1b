"""The section `collections:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from gateway.config.spec.values import Condition, DurationText, Name
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class CollectionCountSpec(Spec):
    """A number of instances for which a condition holds."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"of": {}}

    of: Condition
    at_least: Annotated[int, Described(ge=0, le=1_000_000, description="The fewest.")] = 1
    at_most: (
        Annotated[int, Described(ge=0, le=1_000_000, description="The most. Default: any number.", examples=(10,))]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class CollectionWhenSpec(Spec):
    """A condition over all instances of a collection. All that stands in it is to hold."""

    any: Annotated[Condition, Described(definition="predicate", description="It holds for at least one instance.")] = (
        None
    )
    every: Annotated[Condition, Described(definition="predicate", description="It holds for every instance.")] = None
    count: Annotated[ListOf[CollectionCountSpec], Described(description="Each holds for so many instances.")] = ()


@dataclass(frozen=True, kw_only=True)
class CollectionExpectSpec(Spec):
    """The whole that makes a collection `verified`: the instances of a source, or a number."""

    from_: (
        Annotated[
            Name,
            Described(
                title="source",
                examples=("pacs",),
                description="A peer that has the study too. When nothing comes any more it is asked by C-FIND for all "
                "instances, and again until it has said the same twice and all of them are here.",
            ),
        ]
        | None
    ) = None
    every: Annotated[
        DurationText,
        Described(
            description="The time between two questions. It doubles, up to 10 min, while something is missing or the "
            "source cannot be asked."
        ),
    ] = "30 s"
    timeout: Annotated[DurationText, Described(description="How long the source may keep us waiting.")] = "10 s"
    instances: (
        Annotated[
            str,
            Described(
                title="number",
                description="The number of instances, or a template that makes it of an object.",
                min_length=1,
                examples=("{{ NumberOfStudyRelatedInstances }}", "120"),
            ),
        ]
        | None
    ) = None
    series: (
        Annotated[
            str,
            Described(
                title="number",
                description="The number of series, or a template that makes it of an object.",
                min_length=1,
                examples=("{{ NumberOfStudyRelatedSeries }}", "3"),
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class CollectionSpec(Spec):
    """Studies or series as wholes: the objects of a route with `collection` wait until theirs ends, and go together."""

    level: Annotated[
        Literal["study", "series"], Described(description="What is collected, by Study or Series Instance UID.")
    ] = "study"
    when: CollectionWhenSpec | None = None
    quiet: Annotated[
        DurationText, Described(description="It ends when nothing has come, or begun to come, for so long.")
    ] = "60 s"
    at_most: Annotated[
        DurationText,
        Described(
            description="It ends so long after its first object at the latest. Where `when` does not hold by then, "
            "its objects are as those that the route does not want."
        ),
    ] = "2 h"
    expect: CollectionExpectSpec | None = None
    late: Annotated[
        Literal["supplement", "new", "ignore"],
        Described(
            description="An object that comes after the end is sent at once by the same decision, begins a new "
            "generation, or is left out, which is logged and counted."
        ),
    ] = "supplement"
    late_for: Annotated[
        DurationText, Described(description="What comes later than this after the end begins a new generation.")
    ] = "24 h"
    again: Annotated[
        Literal["never", "new", "replaced"],
        Described(
            description="An object that was there comes again after the end. `never`: the same bytes are left out "
            "where they were delivered or are on their way, others are late. `new`: either begins a new generation. "
            "`replaced`: only other bytes do."
        ),
    ] = "never"
    if_incomplete: Annotated[
        Literal["send", "hold", "drop"],
        Described(
            description="What becomes of it when objects still come, or are missing, at `at_most`, and of one with "
            "`expect` that nobody could verify: but this is never dropped, it is held."
        ),
    ] = "send"
