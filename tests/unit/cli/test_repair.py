"""`gateway check` and `gateway rebuild`: output and exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.common.steady_clock import utc_now
from gateway.objects.folder import FolderObjectStore
from gateway.spool.lock import SpoolLock
from gateway.sqlite.store import SQLiteStore
from tests.support.cluster import Node, kept
from tests.support.samples import Clock, instance
from tests.unit.repair.site import GROUPS, Made, Site, make

RULES = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  spool: {path: spool, min_free: 1 MiB}
  queue: {sqlite: gateway.db}
unmatched: hold
"""
Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return asyncio.run(make(tmp_path_factory.mktemp("made")))


@pytest.fixture
def site(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_RULES", raising=False)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(RULES)
    site = made.copy(tmp_path, 0)
    SQLiteStore(site.database).close()  # its log goes into it: looking through that is slow, and tested elsewhere
    return site


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def test_no_problems(site: Site) -> None:
    result = invoke("check", "rules")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "no problems")
    as_json = json.loads(invoke("check", "--format", "json").stdout)
    assert as_json["problems"] == []
    assert (as_json["instances"], as_json["is_running"]) == (GROUPS, False)


def test_a_problem_has_its_place_and_its_remedy(made: Made, site: Site) -> None:
    payload = made.places[30].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 100)
    result = invoke("check")
    assert result.exit_code == 1
    assert f"error: payload-damaged: {payload.name} bytes {payload.offset_bytes - 128} to" in result.stdout
    assert f"lost: 1 object, 2 deliveries owed: {instance(30).sop_instance_uid}" in result.stdout
    assert "to do: look at the disk" in result.stdout
    (problem,) = json.loads(invoke("check", "--format", "json").stdout)["problems"]
    assert problem["lost"] == [instance(30).sop_instance_uid]


def test_a_damaged_database_names_rebuild(site: Site) -> None:
    site.flip("gateway.db", 5)
    result = invoke("check")
    assert result.exit_code == 1
    assert "gateway rebuild" in result.stdout


@pytest.mark.parametrize("command", ["check", "rebuild"])
def test_rules_with_mistakes_end_with_78(site: Site, command: str) -> None:
    (site.folder / "rules" / "site.yaml").write_text("gateway: {ae_title: 7}\n")
    assert invoke(command).exit_code == 78


@pytest.mark.parametrize("command", ["check", "rebuild"])
def test_wrong_usage_ends_with_2(site: Site, command: str) -> None:
    assert invoke(command, "--no-such-option").exit_code == 2


def test_a_database_of_a_newer_version_ends_with_78(site: Site) -> None:
    queue = SQLiteStore(site.database)
    queue.connection.pragma("user_version", 999)
    queue.close()
    result = invoke("check")
    assert result.exit_code == 78
    assert "newer gateway" in result.stderr


def test_rebuild_reports_what_it_did_and_what_nobody_knows(site: Site) -> None:
    site.remove_database()
    result = invoke("rebuild")
    assert result.exit_code == 0, result.output
    assert "there was no old database" in result.stdout
    assert f"of {GROUPS} objects the spool alone speaks" in result.stdout
    assert "delivered once more" in result.stdout
    assert invoke("check").exit_code == 0


def test_rebuild_as_json(site: Site) -> None:
    result = invoke("rebuild", "--format", "json")
    assert result.exit_code == 0, result.output
    as_json = json.loads(result.stdout)
    assert as_json["is_old_database_whole"] is True
    assert as_json["taken_from_old_database"]["instance"] == GROUPS
    assert Path(as_json["old_database"]).is_file()


def test_rebuild_names_what_is_lost(made: Made, site: Site) -> None:
    payload = made.places[30].payload
    site.flip(f"spool/{payload.name}", payload.offset_bytes + 100)
    site.remove_database()
    result = invoke("rebuild")
    assert result.exit_code == 1
    assert f"lost: {instance(30).sop_instance_uid}" in result.stdout


def test_rebuild_refuses_beside_a_gateway(site: Site) -> None:
    lock = SpoolLock(site.spool_folder)
    try:
        result = invoke("rebuild")
    finally:
        lock.release()
    assert result.exit_code == 78
    assert "a gateway uses it" in result.stderr
    assert "name another" not in result.stderr
    assert not list(site.folder.glob("gateway.db.2*"))


# --- a cluster ------------------------------------------------------------------------------------------------------

CLUSTER = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  store: {postgresql: "${DATABASE_URL:-postgresql://gateway@127.0.0.1:1/none}", objects: {folder: FOLDER}, node: north}
unmatched: hold
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its objects. No server is at the address that its rules name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_RULES", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "rules").mkdir()
    (tmp_path / "objects").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(CLUSTER.replace("FOLDER", str(tmp_path / "objects")))
    return tmp_path / "objects"


@pytest.mark.usefixtures("cluster")
def test_a_cluster_whose_server_cannot_be_reached_ends_with_75() -> None:
    result = invoke("check", "rules", "--digests")
    assert (result.exit_code, result.stdout) == (75, "")
    assert "it cannot be reached now" in result.stderr


@pytest.mark.postgresql
async def test_a_cluster_is_checked_with_counts_findings_and_what_is_left_out(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "node", Clock(utc_now()), objects=FolderObjectStore(str(cluster)))
    monkeypatch.setenv("DATABASE_URL", node.url)
    assert invoke("check", "rules").exit_code == 78
    async with node as journal:
        await kept(journal, b"small", 1)
        large = await kept(journal, bytes(200_000), 2)
    result = invoke("check", "rules", "--digests")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert {"instances: 2", "digests read: 2", "no node is running", "no problems"} <= set(lines)
    assert "not checked: pages and indices of the database (`pg_amcheck` reads them)" in lines
    (cluster / large.payload.name).unlink()
    result = invoke("check", "rules")
    assert result.exit_code == 1
    assert f"error: object-missing: {large.payload.name}: the database leads to it, and it is not in" in result.stdout
    assert f"lost: 1 object, 1 delivery owed: {large.sop_instance_uid}" in result.stdout
    as_json = json.loads(invoke("check", "rules", "--format", "json").stdout)
    assert [each["code"] for each in as_json["problems"]] == ["object-missing"]
    assert as_json["counts"]["objects in the object store"] == 0
    assert "the bytes of payloads (`--digests` reads each of them)" in as_json["not_checked"]
