"""Which files `${file:PATH}` may read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.findings import Findings
from gateway.config.readers import warn_of_readers
from gateway.config.secret_files import SecretFileError, SecretFiles, default_folders
from gateway.model.problem import Mark

SITE = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112}]
%s
unmatched: hold
peers: {ct1: {ae_title: CT1, may: [store], address: "ct1:104"}}
keys: {k: "${file:%s}"}
"""
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A rules folder, and beside it folders with a secret each."""
    rules = tmp_path / "rules"
    for folder in (rules, rules / "below", tmp_path / "secrets", tmp_path / "elsewhere"):
        folder.mkdir()
        (folder / "key").write_text(f"{SECRET}\n")
    (rules / "link").symlink_to(tmp_path / "elsewhere" / "key")
    (rules / "inner-link").symlink_to(rules / "below" / "key")
    return rules


def problems(rules: Path, path: str, settings: str = "", **environ: str) -> list[str]:
    (rules / "site.yaml").write_text(SITE % (settings, path))
    return [f"{problem.code}: {problem.message}" for problem in load(rules, environ).problems]


OUTSIDE = "lies outside the rules folder and `gateway.secret_folders`"


@pytest.mark.parametrize(
    ("path", "settings", "expected"),
    [
        pytest.param("key", "", "", id="beside the YAML file"),
        pytest.param("below/key", "", "", id="below it"),
        pytest.param("inner-link", "", "", id="a link that stays inside"),
        pytest.param("below/../key", "", "", id="dots that stay inside"),
        pytest.param("../secrets/key", "", OUTSIDE, id="beside the rules folder"),
        pytest.param("{tmp}/secrets/key", "", OUTSIDE, id="absolute"),
        pytest.param("link", "", OUTSIDE, id="a link that leads out"),
        pytest.param("/etc/passwd", "", OUTSIDE, id="of the system"),
        pytest.param("../secrets/key", "  secret_folders: [../secrets]", "", id="named relative"),
        pytest.param("{tmp}/secrets/key", '  secret_folders: ["{tmp}/secrets"]', "", id="named absolute"),
        pytest.param("{tmp}/secrets/key", '  secret_folders: ["${{FOLDER}}"]', "", id="named by the environment"),
        pytest.param("../elsewhere/key", "  secret_folders: [../secrets]", OUTSIDE, id="another one is named"),
        pytest.param("../secrets/key", "  secret_folders: []", OUTSIDE, id="none is named"),
        pytest.param("../secrets/key", '  secret_folders: ["${{file:key}}"]', OUTSIDE, id="a file cannot name itself"),
        pytest.param("../secrets-more/key", "  secret_folders: [../secrets]", OUTSIDE, id="a name that begins alike"),
    ],
)
def test_places(rules: Path, path: str, settings: str, expected: str) -> None:
    tmp = str(rules.parent)
    found = problems(rules, path.replace("{tmp}", tmp), settings.format(tmp=tmp), FOLDER=f"{tmp}/secrets")
    named = [line for line in found if line.startswith("unreadable-file")]
    assert (expected in named[0]) if expected else named == []


def test_the_section_may_stand_in_another_file_than_the_reference(rules: Path) -> None:
    (rules / "a.yaml").write_text('keys: {k: "${file:../secrets/key}"}\n')
    (rules / "b.yaml").write_text(
        "gateway: {ae_title: G, listeners: [{port: 1}], secret_folders: [../secrets], admit: any}\nunmatched: hold\n"
    )
    assert load(rules, {}).problems == ()


def test_a_test_file_reads_only_below_its_own_folder(rules: Path) -> None:
    with pytest.raises(SecretFileError, match="outside"):
        SecretFiles(rules).read("../secrets/key", rules)


@pytest.mark.parametrize(
    ("environ", "folders"),
    [({}, ("/run/secrets",)), ({"CREDENTIALS_DIRECTORY": "/run/c"}, ("/run/secrets", "/run/c"))],
)
def test_default_folders(environ: dict[str, str], folders: tuple[str, ...]) -> None:
    assert default_folders(environ) == folders


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: os.mkfifo(path), id="a pipe that nobody writes"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), id="a device"),
    ],
)
@pytest.mark.parametrize("name", ["secret", "rules.yaml", "table.csv", "gateway.pem"])
def test_what_is_no_regular_file_is_a_problem_and_nobody_waits_for_it(
    rules: Path, make: Callable[[Path], object], name: str
) -> None:
    """Of secrets, of YAML files, of tables and of certificates."""
    if name == "rules.yaml" and "mkdir" in make.__code__.co_names:
        return  # a folder may have any name
    make(rules / name)
    (rules / "site.yaml").write_text(
        SITE % ("", "secret" if name == "secret" else "key")
        + "routes: [{name: r, to: [ct1], when: {attribute: {select: PatientID, in: {file: table.csv}}}}]\n"
        * (name == "table.csv")
    )
    if name == "gateway.pem":
        (rules / "site.yaml").write_text(
            SITE.replace("{port: 11112}", "{port: 2762, tls: {certificate: gateway.pem}}") % ("", "key")
        )
    found = [str(problem) for problem in load(rules, {}).problems]
    assert any("regular file" in line or "outside the rules folder" in line for line in found), found


def test_a_dangling_link_among_the_rules_is_a_problem(rules: Path) -> None:
    (rules / "site.yaml").write_text(SITE % ("", "key"))
    (rules / "more.yaml").symlink_to(rules / "gone.yaml")
    assert "unreadable-file" in [problem.code for problem in load(rules, {}).problems]


@pytest.mark.parametrize(("path", "is_told"), [("/run/secrets/key", False), ("/etc/gateway/key", True)])
def test_secrets_of_a_container_are_not_warned_of(path: str, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines mount them with mode 0444."""
    monkeypatch.setattr("gateway.config.readers.is_open_to_others", lambda path: True)
    findings = Findings()
    warn_of_readers(path, "`key`", Mark("a.yaml", 1, 1), findings)
    assert [problem.code for problem in findings.sorted()] == ["readable-by-others"] * is_told
