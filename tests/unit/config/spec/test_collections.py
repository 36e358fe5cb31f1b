"""The section `collections:`."""

from __future__ import annotations

from gateway.config.spec.collections import CollectionCountSpec, CollectionSpec, CollectionWhenSpec


def test_defaults_are_those_of_the_documents() -> None:
    made = CollectionSpec()
    assert (made.level, made.quiet, made.at_most, made.late, made.late_for) == (
        "study",
        "60 s",
        "2 h",
        "supplement",
        "24 h",
    )
    assert (made.again, made.if_incomplete, made.when) == ("never", "send", None)


def test_a_count_is_of_one_at_least() -> None:
    assert (CollectionCountSpec(of={}).at_least, CollectionCountSpec(of={}).at_most) == (1, None)
    assert CollectionWhenSpec().count == ()
