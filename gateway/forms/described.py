"""The description of a setting beside its type: ``Annotated[str, Described(title="duration", pattern=…)]``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Hint = Callable[[str, Callable[[str], str]], str]
"""(text that does not fit, text of another setting of the same mapping by name) → the end of the message, which says
what is probably meant; or an empty text."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Described:
    """The meaning of a setting's values, and which there are. Of several for one type, the outer one comes first."""

    title: str = ""
    """The noun for such values, in schema and messages."""
    description: str = ""
    examples: tuple[Any, ...] = ()
    definition: str = ""
    """The name of the definition in the JSON Schema which says what may stand where anything is taken here."""
    is_secret: bool = False
    """True when the value is shown to nobody, wherever it comes from."""
    is_private_key: bool = False
    """True for the path of a private key, or the key itself: that is shown to nobody."""
    pattern: str = ""
    """Regular expression for a text, searched as JSON Schema does."""
    ge: int | None = None
    le: int | None = None
    min_length: int | None = None
    """The fewest characters of a text, items of a list or entries of a mapping; None is 0."""
    hint: Hint | None = None
    explain: Callable[[str], str] | None = None
    """Says why a text does not fit the pattern, instead of the usual words."""
    code: str = "bad-format"
    """The code of a text that does not fit the pattern."""

    @property
    def noun(self) -> str:
        """The values in a message, with an example; empty without a title."""
        if not self.title:
            return ""
        article = "" if self.title.endswith("bytes") else "an " if self.title[0] in "aeiouA" else "a "
        example = f" such as `{self.examples[0]}`" if self.examples else ""
        return f"{article}{self.title}{example}"

    @property
    def annotations(self) -> dict[str, Any]:
        """The keywords of JSON Schema that say what is meant."""
        given = {"title": self.title, "description": self.description, "examples": list(self.examples)}
        return {name: value for name, value in given.items() if value}


UNDESCRIBED = Described()


def combined(given: Iterable[object]) -> Described:
    """One description from those beside a type, the inner ones first."""
    described = [one for one in given if isinstance(one, Described)]
    parts: dict[str, Any] = {}
    for one in described:
        values = ((field.name, getattr(one, field.name)) for field in dataclasses.fields(one))
        parts |= {name: value for name, value in values if value != getattr(UNDESCRIBED, name)}
    return Described(**parts) if described else UNDESCRIBED
