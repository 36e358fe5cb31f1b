"""The doctor's words on the server with the queue."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psycopg
import pytest

from gateway.doctor import storage
from gateway.doctor.database_server import database_server
from gateway.doctor.site import Site
from gateway.stores import opening
from tests.support.postgresql_server import shared_server
from tests.unit.doctor.rig import site_in


def site_at(folder: Path, url: str) -> Site:
    site = site_in(folder)
    return dataclasses.replace(site, settings=dataclasses.replace(site.settings, postgresql=url))


def test_a_file_has_no_server(tmp_path: Path) -> None:
    assert list(database_server(site_in(tmp_path))) == []


@pytest.mark.postgresql
def test_a_server_has_no_file(tmp_path: Path) -> None:
    site = site_at(tmp_path, shared_server().new_schema())
    assert [*storage.database(site), *storage.damage(site)] == []
    (finding,) = database_server(site)
    assert (finding.code, finding.what.partition(":")[0]) == ("database-not-durable", "fsync is off")
    assert finding.remedy == "set fsync = on"


@pytest.mark.postgresql
def test_a_server_that_keeps_what_it_has_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_at(tmp_path, shared_server().new_schema())
    monkeypatch.setattr(opening, "problems", lambda settings: ())
    assert [finding.code for finding in database_server(site)] == ["database-reached"]


def test_a_server_that_is_away(tmp_path: Path) -> None:
    (finding,) = database_server(site_at(tmp_path, "postgresql://gw:hush-hush@/x?host=/nonexistent"))
    assert (finding.code, finding.subject) == ("database-not-reached", "postgresql /nonexistent/x")
    assert "hush" not in str(finding)


@pytest.mark.postgresql
def test_a_database_that_is_not_ours(tmp_path: Path) -> None:
    url = shared_server().new_schema()
    opening.open_store(site_at(tmp_path, url).settings).close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE gateway_schema SET version = 99, oldest = 99")
    for address, text in ((url, "made by a newer gateway"), (shared_server().address("nowhere"), "nowhere")):
        (finding,) = database_server(site_at(tmp_path, address))
        assert (finding.code, text in finding.what) == ("database-refused", True)
