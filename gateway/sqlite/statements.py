"""The SQL of the queue by name: one statement a file in `sql/`, read once."""

from __future__ import annotations

from importlib import resources
from types import MappingProxyType

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

APPLICATION_ID = 0x44475731
"""Says in the file's header that it is a gateway's queue ("DGW1")."""
