"""A store in a PostgreSQL database, and the library that it needs."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.model.settings import Settings, Spool
from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.stores import opening
from gateway.stores.postgresql_kind import PostgreSQLKind
from tests.support.postgresql_server import shared_server
from tests.support.samples import TO_PACS, Clock, instance


def settings(url: str) -> Settings:
    return Settings("GATEWAY", (), Spool("spool"), "unused.db", postgresql=url)


def test_without_its_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = builtins.__import__

    def without_psycopg(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'")
        return import_(name, *arguments, **options)

    for name in [name for name in sys.modules if name.startswith("gateway.postgresql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(ConfigurationError, match=r"pip install 'dicom-gateway\[cluster\]'"):
        opening.open_store(settings("postgresql:///pacs"))


def test_settings_show_no_password() -> None:
    found = settings("postgresql://gw:hush-hush@db/pacs")
    assert "hush" not in repr(found) + opening.shown(found)


def test_a_server_that_is_away_is_said_by_every_answer() -> None:
    kind = PostgreSQLKind(settings("postgresql:///x?host=/nonexistent"))
    for ask in (kind.pairing, kind.waiting, kind.problems, kind.is_gateway_running):
        with pytest.raises(SpoolFull, match="cannot be reached"):
            ask()
    assert (kind.local_path, kind.is_there(), kind.files()) == (None, True, ())


@pytest.mark.postgresql
def test_the_answers_of_a_database(tmp_path: Path) -> None:
    kind = PostgreSQLKind(settings(shared_server().new_schema()))
    assert (kind.pairing(), kind.waiting(), kind.is_gateway_running()) == (("", False), {}, False)
    claim = kind.claim()
    claim.take()
    store = kind.open(clock=None, must_exist=False, is_committing=True, is_read_only=False)
    with store.transaction():
        store.spool.bind_spool("first")
        store.deliveries.accept([(instance(1), [TO_PACS])], Clock()())
    assert (kind.pairing(), kind.waiting(), kind.is_gateway_running()) == (("first", True), {"pacs": 1}, True)
    assert (claim.gone(), kind.room().shortage) == ("", "")
    store.close()
    claim.release()
    kind.check_before_start()
    assert [problem.partition(";")[0] for problem in kind.problems()] == [
        "fsync is off: a power cut may lose or tear what was delivered and accepted"
    ]
