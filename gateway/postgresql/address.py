"""The address of a PostgreSQL database: what libpq makes of a URL, and what of it may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.ports.errors import ConfigurationError

CONNECT_LIMIT_S = 3
"""The time limit of one try to connect, for each host of the address."""

DEFAULTS: dict[str, str | int] = {
    "application_name": "dicom-gateway",
    "connect_timeout": CONNECT_LIMIT_S,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,  # ms
    "target_session_attrs": "read-write",
}
"""Parameters of an address that does not name them: a server that is gone is noticed within seconds, and a standby is
passed over."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """`conninfo` is what is connected to; `shown` names host, port and database, and never a password."""

    conninfo: str
    shown: str


def address(url: str) -> DatabaseAddress:
    """Raises ConfigurationError when it is none; the message repeats nothing of it."""
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ConfigurationError(
            "gateway.store.postgresql: this is no address of a database such as "
            "postgresql://gateway@db.example.org:5432/gateway (its text is not shown: it may hold a password)"
        ) from None
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = str(parts.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    database = parts.get("dbname") or parts.get("user") or ""
    given = {name: value for name, value in parts.items() if value is not None}
    return DatabaseAddress(make_conninfo("", **{**DEFAULTS, **given}), f"postgresql {places}/{database}")
