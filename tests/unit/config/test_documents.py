"""Every YAML block in the documents is right: whole configurations, sections, parts of rules, and tests of rules."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.cases import read_cases
from tests.support.certificates import Authority
from tests.support.passwords import password_line
from tests.support.tokens import Issuer, write_jwks

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "rules").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}:{path.read_text()[: match.start()].count(chr(10)) + 2}")
    for path in DOCUMENTS
    for match in re.finditer(r"^```yaml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    for block in [match[1]]
]
GATEWAY = "gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}\n"
PEER = "{0}: {{ae_title: {0}, address: '{0}.example.org:104'}}"
PEERS = f"peers: {{{', '.join(PEER.format(name) for name in ('research', 'pacs_a', 'pacs_b', 'ai1', 'ai2', 'ai3'))}}}\n"
KEYS = "keys: {research: '${file:research.key}'}\n"
CONDITIONS = "conditions: {head: {attribute: {select: BodyPartExamined, equals: HEAD}}}\n"
TABLE = "CT1,North\nCT2,South\n"


def completed(block: str) -> str:
    """A whole configuration, with what the block leaves out."""
    names = {match[1] for match in re.finditer(r"^(\w+):", block, re.MULTILINE)}
    if names <= {"when", "then", "to"}:
        rule = "".join(f"    {line}\n" for line in block.splitlines())
        sends_nowhere = re.search(r"^  - (drop|reject)\b", block, re.MULTILINE) is not None
        to = "" if "to" in names or sends_nowhere else "    to: [research]\n"
        return GATEWAY + PEERS + KEYS + CONDITIONS + f"routes:\n  - name: example\n{to}{rule}unmatched: hold\n"
    parts = {"gateway": GATEWAY, "peers": PEERS, "keys": KEYS, "unmatched": "unmatched: hold\n"}
    missing = "".join(text for name, text in parts.items() if name not in names)
    for name in ("research", "gateway"):
        block = block.replace(f"${{file:/run/secrets/{name}.key}}", f"${{file:{name}.key}}")
    return missing + block


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates, keys, passwords and programs that the documents name."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "tls").mkdir()
    for name in ("hospital", "vendor"):
        authority = Authority.create(folder / name, name)
        shutil.copy(authority.certificate, folder / "tls" / f"{name}-ca.pem")
        shutil.copy(authority.revocation_list(name), folder / "tls")
    shown = authority.issue("gateway", "/CN=gateway")
    shutil.copy(shown.certificate, folder / "tls")
    shutil.copy(shown.key, folder / "tls")
    (folder / "passwords.txt").write_text(password_line("alice", "secret"))
    write_jwks(folder / "jwks.json", Issuer.of("ES256"))
    return folder


def test_there_is_something_to_check() -> None:
    assert len(BLOCKS) > 30


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_right(block: str, tmp_path: Path, material: Path) -> None:
    if re.search(r"^tests:", block, re.MULTILINE):
        path = tmp_path / "a.test.yaml"
        path.write_text(block)
        assert [str(problem) for problem in read_cases(path).problems] == []
        return
    for name in ("research.key", "night-shift.token"):
        (tmp_path / name).write_text("a secret of the examples, which is long\n")
    for name in re.findall(r"[\w-]+\.(?:csv|tsv|txt)\b", block):
        (tmp_path / name).write_text(TABLE)
    shutil.copytree(material, tmp_path, dirs_exist_ok=True)
    block = block.replace("/usr/local/bin/check-kerberos", sys.executable)
    (tmp_path / "site.yaml").write_text(completed(block))
    problems = load(tmp_path, {}).problems
    assert [str(problem) for problem in problems if problem.severity == "error"] == []
