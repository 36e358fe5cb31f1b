"""Addresses of databases: what is connected to, and what of it may be shown."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.ports.errors import ConfigurationError
from gateway.postgresql.address import DEFAULTS, address

SHOWN = {
    "whole": ("postgresql://gw:secret@db.example.org:5433/pacs", "postgresql db.example.org:5433/pacs"),
    "without a port": ("postgresql://gw:secret@db.example.org/pacs", "postgresql db.example.org/pacs"),
    "the role's database": ("postgresql://gw:secret@db.example.org", "postgresql db.example.org/gw"),
    "a socket": ("postgresql://gw@/pacs?host=/run/postgresql&password=secret", "postgresql /run/postgresql/pacs"),
    "this machine": ("postgresql:///pacs", "postgresql localhost/pacs"),
    "several hosts": ("postgresql://gw:secret@a,b:5433/pacs", "postgresql a,b:5433/pacs"),
    "several ports": ("postgresql://gw:secret@a:5432,b:5433/pacs", "postgresql a:5432,b:5433/pacs"),
    "one port of several hosts": ("postgresql:///pacs?host=a,b&port=5433", "postgresql a:5433,b:5433/pacs"),
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown_names_the_place_and_no_password(url: str, shown: str) -> None:
    assert address(url).shown == shown


def test_what_an_address_says_goes_before_the_defaults() -> None:
    found = conninfo_to_dict(address("postgresql:///pacs?connect_timeout=9&application_name=x").conninfo)
    assert (found["connect_timeout"], found["application_name"]) == ("9", "x")
    assert found["tcp_user_timeout"] == str(DEFAULTS["tcp_user_timeout"])
    assert found["target_session_attrs"] == "read-write"


def test_what_is_no_address_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match=r"store\.postgresql") as caught:
        address("postgresql://gw:se%zzcret@db/pacs?nonsense=1")
    assert "cret" not in str(caught.value)
