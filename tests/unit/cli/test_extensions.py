"""Commands with the example package of the documents installed, and with packages that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.sqlite.delivery_queue import SQLiteQueue
from tests.support.extensions import install, install_example, project
from tests.support.processes import REPOSITORY

SITE = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  spool: {path: spool}
  queue: {sqlite: queue.db}
  admit: any
peers:
  trial: {ae_title: TRIAL, address: "127.0.0.1:104"}
unmatched: hold
"""
PAGE = (REPOSITORY / "docs" / "extensions.md").read_text()
ROUTE = PAGE.partition("```yml\n")[2].partition("```\n")[0]
"""The rule of the page, which needs the example package."""
CODE = "import sys; from gateway.__main__ import main; main(sys.argv[1:], prog_name='gateway')"
CALLER = ("--calling-ae", "CT1")
LISTED = "package example-kinds 1.0.0: action assign_trial, predicate thin_slices"


def test_the_page_has_the_entry_points_of_the_example_package() -> None:
    written = tomllib.loads(PAGE.partition("```toml\n")[2].partition("```\n")[0])
    assert written["project"]["entry-points"] == project()["entry-points"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(SITE + ROUTE)
    install_example(tmp_path / "site")
    return tmp_path


def gateway(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{REPOSITORY}"}
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def a_file(folder: Path, thickness: str, annotation: str = "NO") -> Path:
    import pydicom

    data_set = pydicom.dcmread(Path(pydicom.__path__[0]) / "data" / "test_files" / "CT_small.dcm")
    data_set.SliceThickness, data_set.BurnedInAnnotation = thickness, annotation
    path = folder / f"{thickness}-{annotation}.dcm"
    data_set.save_as(path)
    return path


def test_validate_names_the_package_and_accepts_its_kinds(folder: Path) -> None:
    done = gateway(folder, "validate")

    assert (done.returncode, done.stdout) == (0, "")
    assert LISTED in done.stderr


def test_mistakes_in_its_settings_have_their_place(folder: Path) -> None:
    path = folder / "rules" / "site.yaml"
    path.write_text(path.read_text().replace("at_most_mm: 1.5", "at_most: 1.5").replace("LUNG-7", "L" * 65))

    done = gateway(folder, "validate")

    assert done.returncode == 1
    assert "site.yaml:13:26: error: unknown-field: thin_slices has no setting 'at_most'" in done.stdout
    assert "site.yaml:14:38: error: bad-value: it has 65 characters; 1 to 64 are allowed" in done.stdout


def test_the_schema_and_the_reference_have_its_kinds(folder: Path) -> None:
    schema, reference = gateway(folder, "schema"), gateway(folder, "schema", "--docs")

    validator = Draft202012Validator(json.loads(schema.stdout))
    assert validator.is_valid(yaml.safe_load(ROUTE))
    assert not validator.is_valid(yaml.safe_load(ROUTE.replace("at_most_mm", "at_most")))
    for name in ("thin_slices", "assign_trial"):
        part = reference.stdout.partition(f"### `{name}`")[2].partition("\n### ")[0]
        assert "From the package example-kinds 1.0.0." in part
        assert f"{name}: {{" in part  # its example
    assert "| `at_most_mm` | a number | **required** |" in reference.stdout


def test_explain_shows_its_predicate_and_the_edits_of_its_action(folder: Path) -> None:
    thin, thick = a_file(folder, "1.25"), a_file(folder, "5")

    shown = gateway(folder, "explain", str(thin), *CALLER, "--show-values").stdout
    assert "thin_slices" in shown
    assert "it is 1.25 mm" in shown
    assert "LUNG-7" in shown
    other = gateway(folder, "explain", str(thick), *CALLER, "--show-values").stdout
    assert "it is 5 mm" in other
    assert "LUNG-7" not in other


def test_its_action_refuses_an_object(folder: Path) -> None:
    shown = gateway(folder, "explain", str(a_file(folder, "1", "YES")), *CALLER, "--show-values")

    assert "assign_trial: Burned In Annotation is YES" in shown.stdout + shown.stderr


def test_a_package_that_cannot_be_used_is_an_error_of_the_rules(folder: Path) -> None:
    entries = {"gateway.predicates": {"modality": "broken:Modality", "more": "broken:More"}}
    install(folder / "site", "broken", "import no_such_module", entries)

    done = gateway(folder, "validate")
    assert done.returncode == 1
    assert "rules:1:1: error: extension-name-taken: package broken 0.1, entry point 'modality' of" in done.stdout
    assert "rules:1:1: error: extension-not-loaded: package broken 0.1, entry point 'more' of" in done.stdout
    assert "No module named 'no_such_module'" in done.stdout

    run = gateway(folder, "run")
    assert run.returncode == 78
    assert "package broken 0.1" in run.stdout + run.stderr

    schema = gateway(folder, "schema")
    assert (schema.returncode, schema.stdout) == (1, "")
    assert "package broken 0.1, entry point 'more'" in schema.stderr
    assert gateway(folder, "schema", "--settings").returncode == 0


@pytest.mark.parametrize("arguments", [("queue", "list"), ("check",), ("status",), ("schema", "--metrics")])
def test_commands_that_need_no_rules_import_no_package(folder: Path, arguments: tuple[str, ...]) -> None:
    source = "from pathlib import Path\nPath('imported').touch()\n"
    install(folder / "site", "noisy", source, {"gateway.predicates": {"noisy": "noisy:Noisy"}})
    SQLiteQueue(str(folder / "queue.db")).close()

    gateway(folder, *arguments)
    assert not (folder / "imported").exists()

    gateway(folder, "validate")
    assert (folder / "imported").exists()


@pytest.mark.parametrize(("declared", "code"), [("False", 1), ("True", 0)])
def test_studies_are_hidden_only_by_predicates_that_say_so(folder: Path, declared: str, code: int) -> None:
    source = f'''
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Vip:
    """True for some."""
    is_about_studies: ClassVar[bool] = {declared}
    value: str
    def __call__(self, facts): return True
    def attributes(self): return ()
'''
    install(folder / "site", "vip-kinds", source, {"gateway.predicates": {"vip": "vip_kinds:Vip"}})
    hide = "query_retrieve: {sources: [local], hide: [{when: {vip: x}}]}\n"
    (folder / "rules" / "site.yaml").write_text(SITE + ROUTE + hide)

    done = gateway(folder, "validate")

    assert done.returncode == code, done.stdout
    assert ("not-of-studies: `vip` of another package" in done.stdout) is (code == 1)
