"""Keys and table files of a configuration: where they are read, what follows them, what a reload does."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Loaded, load
from gateway.ports.errors import ConfigurationError
from gateway.routing.language.stored_actions import actions_from_json
from gateway.routing.table import RoutingTable

SECRET = "not to be seen by anybody"
SITE = """
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
unmatched: hold
keys: {research: "${file:research.key}"}
peers: {pacs: {ae_title: PACS, address: "pacs.example.org:104"}}
"""
ROUTES = """
routes:
  - name: mapped
    then:
      - {map: {attributes: BodyPartExamined, table: tables/parts.csv, on_missing: keep}}
      - {hash_uid: {key: research}}
    to: [pacs]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "research.key").write_text(f"{SECRET}\n")
    folder = tmp_path / "north"
    (folder / "tables").mkdir(parents=True)
    (folder / "routes.yaml").write_text(ROUTES)
    (folder / "tables" / "parts.csv").write_text("#from,to\nBRAIN,HEAD\n")
    return tmp_path


def table_of(loaded: Loaded) -> RoutingTable:
    assert [problem for problem in loaded.problems if problem.severity == "error"] == []
    assert loaded.table is not None
    return loaded.table


def test_tables_are_read_beside_the_file_that_names_them(site: Path) -> None:
    table = table_of(load(site, {}))
    assert table.resources.table("tables/parts.csv") == {"BRAIN": "HEAD"}
    assert table.resources.key("research") == SECRET.encode()


def test_the_working_folder_does_not_matter(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.parent)
    table = table_of(load(Path(site.name), {}))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (site / "north" / "tables" / "more.csv").write_text("A,B")
    assert table.resources.table("tables/more.csv") == {"A": "B"}


def test_the_version_follows_the_tables(site: Path) -> None:
    before = table_of(load(site, {})).version
    assert table_of(load(site, {})).version == before
    (site / "north" / "tables" / "parts.csv").write_text("BRAIN,SKULL\n")
    assert table_of(load(site, {})).version != before


def test_a_vanished_table_is_a_problem_with_its_place(site: Path) -> None:
    (site / "north" / "tables" / "parts.csv").unlink()
    loaded = load(site, {})
    assert loaded.table is None
    (problem,) = loaded.problems
    assert (problem.mark.file, problem.mark.line) == (str(site / "north" / "routes.yaml"), 5)
    assert problem.message == "cannot read the file 'tables/parts.csv': No such file or directory"


def test_nothing_shows_the_secret(site: Path) -> None:
    loaded = load(site, {})
    assert SECRET not in repr(loaded)
    assert SECRET not in repr(table_of(loaded).routes)
    assert all(SECRET not in route.actions_json for route in table_of(loaded).routes)
    assert "research" in table_of(loaded).routes[0].actions_json


def test_stored_actions_follow_the_configuration_in_force(site: Path) -> None:
    stored = table_of(load(site, {})).routes[0].actions_json
    (site / "north" / "tables" / "parts.csv").write_text("BRAIN,SKULL\n")
    renewed = table_of(load(site, {}))
    assert actions_from_json(stored, renewed.resources) == renewed.routes[0].actions
    (site / "north" / "routes.yaml").unlink()
    (site / "site.yaml").write_text(SITE.replace("research", "other"))
    (site / "other.key").write_text(SECRET)
    with pytest.raises(ConfigurationError, match="has no `research`") as raised:
        actions_from_json(stored, table_of(load(site, {})).resources)
    assert "tables/parts.csv" in str(raised.value)


def test_the_same_name_for_two_tables_is_a_problem(site: Path) -> None:
    (site / "south" / "tables").mkdir(parents=True)
    (site / "south" / "routes.yaml").write_text(ROUTES.replace("mapped", "south"))
    (site / "south" / "tables" / "parts.csv").write_text("BRAIN,HEAD\n")
    loaded = load(site, {})
    assert [problem.code for problem in loaded.problems] == ["bad-file"]
    assert "give the files different names" in loaded.problems[0].message
