"""The names of the port are those of its one implementation. What it must do: `tests/contract`."""

from __future__ import annotations

from gateway.ports.expected_instances import ExpectedInstances
from gateway.postgresql.expected_instances import PostgreSQLExpectedInstances
from gateway.postgresql.step_connection import StepConnection


def test_the_implementation_has_what_the_port_names_and_nothing_else() -> None:
    def public(each: type) -> set[str]:
        return {name for name in vars(each) if not name.startswith("_")}

    assert public(PostgreSQLExpectedInstances) | public(StepConnection) == public(ExpectedInstances)
