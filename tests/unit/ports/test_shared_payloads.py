"""The names of the port are those of its one implementation."""

from __future__ import annotations

import pytest

from gateway.ports.shared_payloads import PayloadSealing, SharedPayloads
from gateway.postgresql.shared_payloads import PostgreSQLPayloadSealing, PostgreSQLSharedPayloads


@pytest.mark.parametrize(
    ("port", "kind"),
    [(SharedPayloads, PostgreSQLSharedPayloads), (PayloadSealing, PostgreSQLPayloadSealing)],
)
def test_an_implementation_has_what_the_port_names_and_nothing_else(port: type, kind: type) -> None:
    def public(each: type) -> set[str]:
        return {name for name in vars(each) if not name.startswith("_")}

    assert public(kind) == public(port)
