"""The predicate `expression`: what no other predicate says, in the language of the value templates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import predicate
from gateway.routing.language.fields import FIELD_TYPES, FieldType
from gateway.routing.language.template import Expression

FIELD_TYPES[Expression] = FieldType(
    Expression,
    "bad-expression",
    {"type": "string", "description": "Jinja2 expression over attribute keywords and association.*"},
    needs_resources=True,
)


@predicate("expression")
@dataclass(frozen=True, slots=True)
class ExpressionHolds:
    """True when the Jinja2 expression is true: a comparison that holds, a number but 0, a text that is not empty.

    Names are attribute keywords and association.*, as in value templates. Attributes are texts, empty when absent:
    `Rows|int(0) > 512`. An expression that fails on an object, as a text that is compared with a number, is false.
    """

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = 'expression: "Rows|int(0) * Columns|int(0) > 4000000"'

    expression: Expression

    def __call__(self, facts: Facts) -> bool:
        try:
            return self.expression.holds(facts)
        except Refusal:
            return False

    def attributes(self) -> Iterable[AttributePath]:
        return [path for _name, path in self.expression.attributes]

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        try:
            return f"the expression is {str(self.expression.holds(facts)).lower()}"
        except Refusal as error:
            return str(error)
