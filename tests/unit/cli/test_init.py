"""`gateway init` without a terminal: from options alone, and nothing is ever overwritten."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config import load

NEEDED = {
    "--archive-ae-title": "PACS",
    "--archive-host": "10.1.0.2",
    "--archive-port": "104",
    "--modality-ae-title": "CT1",
    "--modality-host": "10.1.0.7",
}


def invoked(folder: Path, options: dict[str, str]) -> Result:
    return CliRunner().invoke(main, ["init", str(folder), *(word for pair in options.items() for word in pair)])


def test_options_alone_are_enough(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "rules"
    result = invoked(folder, NEEDED)
    assert result.exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["site.yaml"]
    assert load(folder, {}).problems == ()
    for command in ("validate", "doctor", "run"):
        assert f"gateway {command} {shlex.quote(str(folder))}" in result.stdout
    assert "gateway echo 127.0.0.1:11112 --called-ae GATEWAY --calling-ae GATEWAY" in result.stdout
    assert f"gateway echo archive --rules {shlex.quote(str(folder))}" in result.stdout


def test_a_missing_answer_is_named_by_its_option(tmp_path: Path) -> None:
    given = {name: text for name, text in NEEDED.items() if name not in ("--archive-port", "--modality-host")}
    result = invoked(tmp_path / "rules", given)
    assert result.exit_code == 2
    assert "no terminal" in result.stderr
    assert "--archive-port, --modality-host" in result.stderr
    assert not (tmp_path / "rules").exists()


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--ae-title", "A" * 17, "at most 16 characters"),
        ("--port", "99999", "from 1 to 65535"),
        ("--archive-host", "no host", "is not a host name"),
        ("--modality-host", "ct1.example.org", "Names are not looked up"),
        ("--modality-ae-title", "PACS", "the AE title of the archive"),
        ("--http", "127.0.0.1:11112", "one of its own"),
        ("--data", "", "Name a folder"),
    ],
)
def test_a_bad_answer_is_wrong_usage(tmp_path: Path, option: str, text: str, expected: str) -> None:
    result = invoked(tmp_path / "rules", {**NEEDED, option: text})
    assert result.exit_code == 2
    assert option in result.stderr
    assert expected in " ".join(result.stderr.split())
    assert not (tmp_path / "rules").exists()


@pytest.mark.parametrize("name", ["site.yaml", "10-peers.yaml", "below/site.yaml", "old.yml"])
def test_a_folder_with_yaml_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine\n")
    result = invoked(tmp_path, NEEDED)
    assert result.exit_code == 1
    assert name in result.stderr
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
    assert path.read_text() == "mine\n"


def test_a_file_in_the_folders_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text("mine\n")
    result = invoked(path, NEEDED)
    assert result.exit_code == 1
    assert "is no folder" in result.stderr
    assert path.read_text() == "mine\n"


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoked(tmp_path / "file" / "rules", NEEDED)
    assert result.exit_code == 1
    assert "cannot be written: Not a directory" in result.stderr


def test_other_files_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine\n")
    assert invoked(tmp_path, NEEDED).exit_code == 0
