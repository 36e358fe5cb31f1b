"""`gateway queue export`: the file, its answers and exit codes, and the record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.dataset.part10 import read_dicom_file
from tests.support.queue_folder import fill_with_objects

CONTENTS = [b"\x08\0\x60\0CS\2\0CT", b"\x08\0\x60\0CS\2\0MR"]
NAME = "1.2.3.4.5.2.dcm"
"""The SOP Instance UID of the second object."""


@pytest.fixture(autouse=True)
def _two_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill_with_objects(tmp_path, CONTENTS))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["queue", "export", *arguments])


def operations() -> list[tuple[object, ...]]:
    found = json.loads(CliRunner().invoke(main, ["operations", "--format", "json"]).stdout)
    return [(each["verb"], each["filter"], each["to"], each["done"], each["stayed"], each["why"]) for each in found]


@pytest.mark.parametrize(("place", "name"), [("there.dcm", "there.dcm"), (".", NAME)], ids=["a file", "a folder"])
def test_the_stored_bytes_stand_in_a_file(tmp_path: Path, place: str, name: str) -> None:
    found = run("2", "--to", place, "--why", "the archive asks")
    assert (found.exit_code, found.output) == (0, f"{name}: written, with a data set of 10 bytes\n")
    path = tmp_path / name
    assert path.read_bytes().endswith(CONTENTS[1])
    assert path.stat().st_mode & 0o777 == 0o600
    file = read_dicom_file(path)
    body = file.open()
    assert (file.sop_instance_uid, file.transfer_syntax_uid) == ("1.2.3.4.5.2", "1.2.840.10008.1.2.1")
    assert bytes(body.view()) == CONTENTS[1]
    body.close()
    assert operations() == [("export", {"ids": [2]}, name, 1, 0, "the archive asks")]


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "there.dcm").write_bytes(b"other")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    for place in ("there.dcm", "."):
        found = run("2", "--to", place)
        assert found.exit_code == 1
        assert "it is there already, and is not written over" in found.stderr
        assert run("2", "--to", place, "--dry-run").exit_code == 1
    assert (tmp_path / "there.dcm").read_bytes() == b"other"
    assert not (tmp_path / "elsewhere").exists()
    assert [each[3:5] for each in operations()] == [(0, 1), (0, 1)]


def test_a_dry_run_says_where_and_does_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = run("1", "--to", ".", "--dry-run")
    assert (found.exit_code, found.output) == (
        0,
        "1.2.3.4.5.1.dcm would have a data set of 10 bytes; nothing was done\n",
    )
    assert sorted(tmp_path.rglob("*.dcm")) == []
    assert sorted(tmp_path.rglob("*")) == before
    assert operations() == []


BAD = {
    "no such delivery": (["7", "--to", "."], 1, "there is no delivery 7"),
    "no such folder": (["1", "--to", "none/x.dcm"], 1, "none/x.dcm: No such file or directory"),
    "nowhere": (["1"], 2, "--to"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered(name: str) -> None:
    arguments, code, said = BAD[name]
    found = run(*arguments)
    assert found.exit_code == code
    assert said in found.stderr


def test_an_object_whose_bytes_are_lost_leaves_no_file(tmp_path: Path) -> None:
    (segment,) = (tmp_path / "var/spool/segments").iterdir()
    segment.write_bytes(segment.read_bytes().replace(CONTENTS[0], bytes(len(CONTENTS[0]))))
    found = run("1", "--to", ".")
    assert found.exit_code == 1
    assert "segments/" in found.stderr
    assert sorted(tmp_path.glob("*.dcm")) == []
    assert [each[3:5] for each in operations()] == [(0, 1)]
