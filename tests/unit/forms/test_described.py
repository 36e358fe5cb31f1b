"""Descriptions beside a type."""

from __future__ import annotations

from gateway.forms.described import UNDESCRIBED, Described, combined


def test_the_outer_description_comes_first() -> None:
    inner = Described(title="duration", description="A number and its unit.", pattern="x", examples=("10 s",))
    both = combined([inner, "something else", Described(description="How long.", min_length=1)])
    assert (both.title, both.description, both.pattern, both.min_length) == ("duration", "How long.", "x", 1)
    assert both.annotations == {"title": "duration", "description": "How long.", "examples": ["10 s"]}


def test_without_a_description() -> None:
    assert combined(["something else"]) is UNDESCRIBED
    assert combined([Described()]) is not UNDESCRIBED


def test_the_noun_has_its_article() -> None:
    assert Described(title="AE title", examples=("PACS",)).noun == "an AE title such as `PACS`"
    assert Described(title="hexadecimal bytes").noun == "hexadecimal bytes"
    assert Described(title="port").noun == "a port"
    assert Described().noun == ""
