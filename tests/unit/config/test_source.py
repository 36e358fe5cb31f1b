"""Which files are read, and how their sections become one."""

import errno
from pathlib import Path

import pytest

from gateway.config.findings import Findings
from gateway.config.source import Source, read
from gateway.config.tree import plain
from tests.support.unlistable import make_unlistable


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read_all(path: Path) -> tuple[Source, list[str]]:
    findings = Findings()
    source = read(path, {}, findings)
    return source, [str(problem).replace(f"{path}/", "") for problem in findings.sorted()]


@pytest.mark.parametrize(
    ("files", "tree"),
    [
        pytest.param({"a.yaml": "unmatched: hold"}, {"unmatched": "hold"}, id="one file"),
        pytest.param(
            {"b.yaml": "routes: [2]", "a.yaml": "routes: [1]", "c/a.yaml": "routes: [3]"},
            {"routes": [1, 2, 3]},
            id="lists are joined in the order of names, folders included",
        ),
        pytest.param(
            {"a.yaml": "peers: {a: 1}", "b.yaml": "peers: {b: 2}"},
            {"peers": {"a": 1, "b": 2}},
            id="mappings are joined",
        ),
        pytest.param(
            {"a.yaml": "x-a: &a 5\npeers: {a: *a}", "b.yaml": "x-a: &a 6\npeers: {b: *a}"},
            {"peers": {"a": 5, "b": 6}},
            id="x- sections are free room",
        ),
        pytest.param(
            {
                "a.yaml": "unmatched: hold",
                "a.test.yaml": "nonsense",
                ".b.yaml": "x: [",
                "..d/e.yaml": "[",
                "f.txt": "[",
            },
            {"unmatched": "hold"},
            id="tests, hidden and other files aside",
        ),
        pytest.param({"a.yaml": "# later\n", "b.yaml": "unmatched: hold"}, {"unmatched": "hold"}, id="empty file"),
    ],
)
def test_files_make_one_tree(files: dict[str, str], tree: object, tmp_path: Path) -> None:
    source, problems = read_all(write(tmp_path, files))

    assert problems == []
    assert plain(source.root) == tree
    assert source.is_complete


@pytest.mark.parametrize("below", ["", "sites"])
def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    """Its rules would be left out without a word, or the folder be called empty."""
    write(tmp_path, {"a.yaml": "unmatched: hold", "sites/b.yaml": "routes: [1]", ".hidden/c.yaml": "["})
    make_unlistable(monkeypatch, tmp_path / below, tmp_path / ".hidden")
    source, problems = read_all(tmp_path)
    where = below or str(tmp_path)
    said = "cannot list the folder: Permission denied; the rules below it would be left out"
    assert problems == [f"{where}:1:1: error: unreadable-folder: {said}"]
    assert not source.is_complete


def test_a_path_that_may_not_be_looked_at_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    source, problems = read_all(tmp_path / "rules")
    assert problems == [f"{tmp_path}/rules:1:1: error: unreadable-file: cannot read it: Permission denied"]
    assert not source.is_complete


def test_one_file_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "unmatched: hold", "b.yaml": "["})

    source, problems = read_all(tmp_path / "a.yaml")

    assert problems == []
    assert plain(source.root) == {"unmatched": "hold"}


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        (
            {"a.yaml": "peers:\n  a: 1\n", "b.yaml": "peers:\n  b: 1\n  a: 2\n"},
            ["b.yaml:3:3: error: duplicate-name: `peers.a` is written twice; the first is at a.yaml:2:3"],
        ),
        (
            {"a.yaml": "unmatched: hold", "b.yaml": "unmatched: hold"},
            ["b.yaml:1:1: error: duplicate-name: `unmatched` is written twice; the first is at a.yaml:1:1"],
        ),
        (
            {"a.yaml": "routes: []", "b.yaml": "routes: {}"},
            ["b.yaml:1:1: error: duplicate-name: `routes` is written twice; the first is at a.yaml:1:1"],
        ),
        (
            {"a.yaml": "unmatched: hold", "b.yml": ""},
            ["b.yml:1:1: warning: file-not-read: only `*.yaml` is read; rename the file"],
        ),
    ],
)
def test_problems_of_several_files(files: dict[str, str], problems: list[str], tmp_path: Path) -> None:
    assert read_all(write(tmp_path, files))[1] == problems


def test_nothing_to_read(tmp_path: Path) -> None:
    source, problems = read_all(tmp_path / "nowhere")

    assert problems == [f"{tmp_path}/nowhere:1:1: error: no-such-file: there is no such file or folder"]
    assert not source.is_complete


def test_the_version_follows_names_and_content_alone(tmp_path: Path) -> None:
    first, _ = read_all(write(tmp_path / "a", {"a.yaml": "unmatched: hold"}))
    same, _ = read_all(write(tmp_path / "b", {"a.yaml": "unmatched: hold"}))
    other, _ = read_all(write(tmp_path / "c", {"a.yaml": "unmatched: hold "}))
    renamed, _ = read_all(write(tmp_path / "d", {"b.yaml": "unmatched: hold"}))

    assert first.version == same.version
    assert len({first.version, other.version, renamed.version}) == 3
    assert len(first.version) == 12
