"""What `gateway validate` says of files and folders that are there, and of the modes that they have."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import load
from tests.support.certificates import self_signed
from tests.support.passwords import password_line

GATEWAY = "gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}\nunmatched: hold\n"


def problems(folder: Path, text: str) -> list[str]:
    """Those of a configuration that stands in `folder`, without the places."""
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "a.yaml").write_text(text if "gateway:" in text else GATEWAY + text)
    return [f"{each.severity}: {each.code}: {each.message}" for each in load(rules, {}, folder).problems]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


FOLDER = "peers: {{files: {{may: [store], folder: {{path: '{root}/{{{{ SOPInstanceUID }}}}', access: {access}}}}}}}\n"


@pytest.mark.parametrize(
    ("mode", "access", "is_warned"),
    [
        (0o755, "group", True),
        (0o751, "owner", True),
        (0o750, "group", False),
        (0o755, "others", False),
        (None, "group", False),
    ],
)
def test_a_root_that_is_open_to_every_user(open_folder: Path, mode: int | None, access: str, is_warned: bool) -> None:
    root = open_folder / "root"
    if mode is not None:
        root.mkdir()
        root.chmod(mode)
    expected = (
        f"warning: readable-by-others: nothing will be written under `{root}`: every user may list or enter it, and "
        "names tell of patients; chmod o-rwx it, or set `access: others`"
    )
    found = problems(open_folder, FOLDER.format(root=root, access=access))
    assert (expected in found) is is_warned
    assert any("list or enter" in each for each in found) is is_warned


def test_a_root_in_a_folder_that_keeps_others_out(open_folder: Path) -> None:
    (open_folder / "closed" / "root").mkdir(parents=True)
    (open_folder / "closed").chmod(0o750)
    os.chmod(open_folder / "closed" / "root", 0o755)
    found = problems(open_folder, FOLDER.format(root=open_folder / "closed" / "root", access="owner"))
    assert not any("list or enter" in each for each in found)


def test_a_root_that_is_a_file(open_folder: Path) -> None:
    (open_folder / "root").write_bytes(b"")
    found = problems(open_folder, FOLDER.format(root=open_folder / "root", access="owner"))
    expected = f"`{open_folder}/root` is no folder; every delivery will wait until it is one"
    assert f"warning: not-a-folder: {expected}" in found


STAFF = """
user_identities:
  staff: {{password_file: staff.txt}}
  more: {{password_file: more.txt}}
  tokens: {{jwt: {{keys: keys.json, issuer: x, audience: y}}}}
peers:
  ct1:
    ae_title: CT1
    may: [store]
    requires: {{tls: true, user_identity: {{verified_by: {verified_by}, users: [{users}]}}}}
"""


@pytest.mark.parametrize(
    ("verified_by", "users", "unknown"),
    [
        ("staff", "alice", []),
        ("staff", "alice, alcie", ["alcie"]),
        ("[staff, more]", "alice, bob", []),
        ("staff", "bob", ["bob"]),
        ("[staff, tokens]", "bob", []),
    ],
)
def test_users_that_no_password_file_has(tmp_path: Path, verified_by: str, users: str, unknown: list[str]) -> None:
    (tmp_path / "rules").mkdir()
    for name, user in (("staff", "alice"), ("more", "bob")):
        (tmp_path / "rules" / f"{name}.txt").write_text(password_line(user, "secret"))
    found = problems(tmp_path, STAFF.format(verified_by=verified_by, users=users))
    assert [each for each in found if "unknown-user:" in each] == [
        f"warning: unknown-user: no password file of `{verified_by}` has the user `{user}`" for user in unknown
    ]


def test_a_link_to_a_folder_is_reported_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "rules" / "..data").symlink_to(tmp_path / "elsewhere")
    found = [each for each in problems(tmp_path, "") if "folder-not-read" in each]
    assert found == [
        "warning: folder-not-read: links to folders are not followed; copy it, or link each file; it is a symbolic "
        f"link to {tmp_path}/elsewhere"
    ]


def test_a_link_that_leads_nowhere_says_where(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "b.yaml").symlink_to(tmp_path / "gone.yaml")
    expected = f"cannot read it: No such file or directory; it is a symbolic link to {tmp_path}/gone.yaml"
    assert f"error: unreadable-file: {expected}" in problems(tmp_path, "")


def test_a_secret_that_is_a_link_to_a_place_outside_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "key").write_text("x")
    (tmp_path / "rules" / "key").symlink_to(tmp_path / "key")
    (found,) = [each for each in problems(tmp_path, 'keys: {k: "${file:key}"}\n') if "unreadable" in each]
    assert f"the file `key` leads by a symbolic link to {tmp_path}/key, which lies outside the rules folder" in found


READERS = """
user_identities: {{staff: {{password_file: staff.txt}}}}
keys: {{pseudonyms: "${{file:pseudonyms}}"}}
gateway:
  ae_title: GATEWAY
  admit: any
  listeners:
    - {{port: 11112, user_identity: {{verified_by: staff}}, tls: {tls}}}
unmatched: hold
"""
TWO_FILES = "{certificate: gw.pem, key: gw.key}"


@pytest.mark.parametrize(
    ("mode", "folder_mode", "tls", "named"),
    [
        (0o644, 0o755, TWO_FILES, ["gw.key", "pseudonyms", "staff.txt"]),
        (0o602, 0o755, TWO_FILES, ["gw.key", "pseudonyms", "staff.txt"]),
        (0o644, 0o755, "{certificate: both.pem}", ["both.pem", "pseudonyms", "staff.txt"]),
        (0o640, 0o755, TWO_FILES, []),
        (0o644, 0o750, TWO_FILES, []),
    ],
)
def test_secrets_that_every_user_may_read(
    open_folder: Path, mode: int, folder_mode: int, tls: str, named: list[str]
) -> None:
    rules = open_folder / "rules"
    rules.mkdir()
    certificate, key = self_signed()
    files = {
        "gw.pem": certificate,
        "gw.key": key,
        "both.pem": certificate + key,
        "staff.txt": password_line("alice", "secret"),
        "pseudonyms": "0123456789abcdef",
    }
    for name, content in files.items():
        (rules / name).write_text(content)
        (rules / name).chmod(mode)
    (rules / "gw.pem").chmod(0o644)
    rules.chmod(folder_mode)
    found = sorted(each for each in problems(open_folder, READERS.format(tls=tls)) if "readable-by-others" in each)
    assert found == [
        f"warning: readable-by-others: every local user may read the file `{name}`; `chmod o-rwx` it" for name in named
    ]
