"""Commands with the example package of the documents installed, and with packages that cannot be used.

Packages are read once a process, so that each test has processes of its own; one of them does many commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.sqlite.store import SQLiteStore
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
SCRIPT = """
import json, sys
from click.testing import CliRunner
from gateway.cli.commands import main
done = []
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(main, arguments)
    done.append([result.exit_code, result.stdout, result.stderr])
print(json.dumps(done))
"""
CALLER = ("--calling-ae", "CT1", "--show-values")
LISTED = "package example-kinds 1.0.0: action assign_trial, destination ledger, predicate thin_slices"


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


def commands(folder: Path, *arguments: Sequence[str]) -> list[Done]:
    """Run these commands one after the other, in one process that has the packages of `folder`."""
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{REPOSITORY}"}
    command = [sys.executable, "-c", SCRIPT, json.dumps([list(each) for each in arguments])]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=True)
    return [Done(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def site_in(folder: Path) -> Path:
    """A folder with rules that use the example package, and the package."""
    (folder / "rules").mkdir()
    (folder / "rules" / "site.yaml").write_text(SITE + ROUTE)
    install_example(folder / "site")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return site_in(tmp_path)


def a_file(folder: Path, thickness: str, annotation: str = "NO") -> str:
    data_set = pydicom.dcmread(Path(pydicom.__path__[0]) / "data" / "test_files" / "CT_small.dcm")
    data_set.SliceThickness, data_set.BurnedInAnnotation = thickness, annotation
    path = folder / f"{thickness}-{annotation}.dcm"
    data_set.save_as(path)
    return str(path)


def test_the_page_has_the_entry_points_of_the_example_package() -> None:
    written = tomllib.loads(PAGE.partition("```toml\n")[2].partition("```\n")[0])
    assert written["project"]["entry-points"] == project()["entry-points"]


def test_commands_show_and_use_the_kinds_of_the_example_package(folder: Path) -> None:
    wrong = (SITE + ROUTE).replace("at_most_mm: 1.5", "at_most: 1.5").replace("LUNG-7", "L" * 65)
    (folder / "wrong.yaml").write_text(wrong)
    validated, mistaken, schema, reference, thin, thick, refused = commands(
        folder,
        ["validate"],
        ["validate", "wrong.yaml"],
        ["schema"],
        ["schema", "--docs"],
        ["explain", a_file(folder, "1.25"), *CALLER],
        ["explain", a_file(folder, "5"), *CALLER],
        ["explain", a_file(folder, "1", "YES"), *CALLER],
    )

    assert (validated.code, validated.out) == (0, "")
    assert LISTED in validated.err

    assert mistaken.code == 1
    assert "wrong.yaml:13:26: error: unknown-setting: there is no setting `at_most` here" in mistaken.out
    assert "wrong.yaml:14:38: error: bad-value: it has 65 characters; 1 to 64 are allowed" in mistaken.out

    validator = Draft202012Validator(json.loads(schema.out))
    assert validator.is_valid(yaml.safe_load(ROUTE))
    assert not validator.is_valid(yaml.safe_load(ROUTE.replace("at_most_mm", "at_most")))

    for name in ("thin_slices", "assign_trial"):
        part = reference.out.partition(f"### `{name}`")[2].partition("\n### ")[0]
        assert "From the package example-kinds 1.0.0." in part
        assert f"{name}: {{" in part  # its example
    assert "| `at_most_mm` | a number | **required** |" in reference.out

    assert "thin_slices" in thin.out
    assert "it is 1.25 mm" in thin.out
    assert "LUNG-7" in thin.out
    assert "it is 5 mm" in thick.out
    assert "LUNG-7" not in thick.out
    assert "assign_trial: Burned In Annotation is YES" in refused.out


def test_a_package_that_cannot_be_used_is_an_error_of_the_rules(folder: Path) -> None:
    entries = {"gateway.predicates": {"modality": "broken:Modality", "more": "broken:More"}}
    install(folder / "site", "broken", "import no_such_module", entries)
    validated, run, schema, settings = commands(folder, ["validate"], ["run"], ["schema"], ["schema", "--settings"])

    assert validated.code == 1
    assert "rules:1:1: error: extension-name-taken: package broken 0.1, entry point 'modality' of" in validated.out
    assert "rules:1:1: error: extension-not-loaded: package broken 0.1, entry point 'more' of" in validated.out
    assert "No module named 'no_such_module'" in validated.out
    assert run.code == 78
    assert (schema.code, schema.out) == (1, "")
    assert "package broken 0.1, entry point 'more'" in schema.err
    assert settings.code == 0


def test_commands_that_need_no_rules_import_no_package(folder: Path) -> None:
    source = "from pathlib import Path\nPath('imported').touch()\n"
    install(folder / "site", "noisy", source, {"gateway.predicates": {"noisy": "noisy:Noisy"}})
    SQLiteStore(str(folder / "queue.db")).close()

    commands(folder, ["queue", "list"], ["check"], ["status"], ["schema", "--metrics"], ["schema", "--tests"])
    assert not (folder / "imported").exists()

    commands(folder, ["validate"])
    assert (folder / "imported").exists()


def test_studies_are_hidden_only_by_predicates_that_say_so(folder: Path) -> None:
    source = '''
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Silent:
    """True for all."""
    value: str
    def __call__(self, facts): return True
    def attributes(self): return ()

@dataclass(frozen=True)
class Declared(Silent):
    """True for all studies."""
    is_about_studies: ClassVar[bool] = True
'''
    entries = {"gateway.predicates": {"silent": "study_kinds:Silent", "declared": "study_kinds:Declared"}}
    install(folder / "site", "study-kinds", source, entries)
    for name in ("silent", "declared"):
        hide = f"query_retrieve: {{sources: [local], hide: [{{when: {{{name}: x}}}}]}}\n"
        (folder / f"{name}.yaml").write_text(SITE + ROUTE + hide)

    silent, declared = commands(folder, ["validate", "silent.yaml"], ["validate", "declared.yaml"])

    assert silent.code == 1
    assert "not-of-studies: `silent` of another package" in silent.out
    assert (declared.code, declared.out) == (0, "")


def test_a_peer_may_have_a_destination_of_a_package(folder: Path) -> None:
    peer = "peers:\n  register: {ledger: register.jsonl}\n"
    route = "routes:\n  - {name: all, to: [register]}\n"
    good = f"{SITE.partition('peers:')[0]}{peer}{route}unmatched: hold\n"
    (folder / "good.yaml").write_text(good)
    (folder / "both.yaml").write_text(good.replace("{ledger:", "{folder: {path: '{{ SOPInstanceUID }}'}, ledger:"))
    (folder / "wrong.yaml").write_text(good.replace("register.jsonl", "{file: register.jsonl}"))
    (folder / "idle.yaml").write_text(good.replace("{ledger:", "{hosts: [10.0.0.1], ledger:"))

    fine, both, wrong, idle, schema, reference, told = commands(
        folder,
        ["validate", "good.yaml"],
        ["validate", "both.yaml"],
        ["validate", "wrong.yaml"],
        ["validate", "idle.yaml"],
        ["schema"],
        ["schema", "--docs"],
        ["explain", a_file(folder, "1"), "--calling-ae", "CT1", "--rules", "good.yaml", "--format", "json"],
    )

    assert (fine.code, fine.out) == (0, "")
    assert "error: conflict: a peer has `ledger` or `folder`, not both; make two peers" in both.out
    assert "error: wrong-type: expected a text, found a mapping" in wrong.out
    assert "warning: no-effect: `hosts` means nothing for a peer with `ledger`; leave it out" in idle.out
    assert Draft202012Validator(json.loads(schema.out)).is_valid(yaml.safe_load(peer))
    assert "From the package example-kinds 1.0.0." in reference.out.partition("### `ledger`")[2]
    assert '"kind": "ledger"' in told.out
    assert '"where": "register.jsonl"' in told.out
