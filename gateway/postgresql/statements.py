"""The SQL for PostgreSQL by name: one statement a file in `sql/`, read once. `%(name)s` stands for a value."""

from __future__ import annotations

from importlib import resources
from types import MappingProxyType

from gateway.relational.statements import MadeStatement

SQL = MappingProxyType(
    {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8").strip()
        for entry in sorted(resources.files(__package__).joinpath("sql").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }
)
"""Statement by name."""

SCHEMA_VERSION = 20
"""The schema version that this code reads and writes; `schema_N.sql` leads from version N - 1 to N."""


def of_hour(name: str, hour: int, **values: object) -> MadeStatement:
    """A named statement on the table of an hour of the journal."""
    return SQL[name].replace("{hour}", str(int(hour))), values
