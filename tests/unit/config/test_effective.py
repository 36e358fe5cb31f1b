"""`gateway config show`: every value with its origin, secrets hidden, and nothing lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gateway.config import in_force
from gateway.config.effective import HIDDEN, as_yaml, origins, plain
from gateway.config.parse import resolve_plain
from gateway.config.spec.associate import UserIdentitySpec
from gateway.config.spec.security import ListenerTLSSpec, PeerTLSSpec
from gateway.config.spec.whole import RulesSpec
from gateway.forms.groups import settings
from tests.support.certificates import self_signed
from tests.support.golden import check_golden

ENVIRON = {"AE": "NORTH", "PASSCODE": "s3cr3t-passcode", "LISTEN": "104"}
SITE = """\
gateway:
  ae_title: ${AE}
  listeners:
    - {port: "${LISTEN:-11112}", address: 127.0.0.1}
    - {port: 2762, tls: {certificate: gw.pem, key: "${file:gw.key}"}}
  admit: any
  timers: {dimse: 90 s}
  drain: ${DRAIN:-1 min}
keys:
  research: ${file:research.key}
conditions:
  heads: {attribute: {select: BodyPartExamined, equals: HEAD}}
peers:
  pacs:
    ae_title: "NO"
    address: ${HOST:-pacs.example.org}:104
    timers: {connect: 2 s}
    associate:
      ext_neg: {user_identity: {type: username_passcode, primary: me, secondary: "${PASSCODE}"}}
  off: {ae_title: OFF, address: "off:104", enabled: false}
coercions:
  - then: [{set: {InstitutionName: "${AE}: {{ StationName }}", PatientComments: "a: b # c"}}]
routes:
  - name: everything
    when: {condition: heads}
    then: [{hash: {attributes: PatientID, key: research}}]
    to: [pacs]
unmatched: hold
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("site.yaml").write_text(SITE)
    Path("gw.pem").write_text(self_signed()[0])
    Path("gw.key").write_text(f"s3cr3t-tls\n{self_signed()[1]}")
    Path("research.key").write_text("s3cr3t-research-key-of-many-letters\n")
    return Path("site.yaml")


class Loader(yaml.SafeLoader):
    """YAML 1.2 scalars."""


def _scalar(_: Loader, node: yaml.ScalarNode) -> object:
    return resolve_plain(node.value) if node.style is None else node.value


Loader.yaml_implicit_resolvers = {}
Loader.add_constructor("tag:yaml.org,2002:str", _scalar)


def test_the_rules_of_it_are_printed_so(site: Path) -> None:
    loaded, tree = in_force(site, ENVIRON)
    assert loaded.problems == ()
    rules = {name: tree[name] for name in ("keys", "conditions", "coercions", "routes", "unmatched")}
    check_golden("config/site.yaml", as_yaml(rules))
    check_golden("config/site.origins.json", json.dumps(dict(origins(rules)), indent=2) + "\n")


def test_the_yaml_says_what_the_json_says(site: Path) -> None:
    _, tree = in_force(site, ENVIRON)
    assert yaml.load(as_yaml(tree), Loader=Loader) == plain(tree)


def test_no_secret_leaves(site: Path) -> None:
    _, tree = in_force(site, ENVIRON)
    said = as_yaml(tree) + json.dumps(plain(tree)) + json.dumps(dict(origins(tree)))
    assert "s3cr3t" not in said
    assert said.count(HIDDEN) == 8  # a TLS key, a key of rules, a user name and its passcode; twice


@pytest.mark.parametrize(
    ("pointer", "origin"),
    [
        ("/gateway/ae_title", "environment AE, site.yaml:2"),
        ("/gateway/listeners/0/port", "environment LISTEN, site.yaml:4"),
        ("/gateway/listeners/0/address", "site.yaml:4"),
        ("/gateway/listeners/1/address", "default"),
        ("/gateway/listeners/1/tls/key", "file gw.key, site.yaml:5"),
        ("/gateway/drain", "default of DRAIN, site.yaml:8"),
        ("/gateway/timers/dimse", "site.yaml:7"),
        ("/gateway/timers/connect", "default"),
        ("/gateway/spool/path", "default"),
        ("/peers/pacs/timers/dimse", "site.yaml:7"),
        ("/peers/pacs/timers/connect", "site.yaml:17"),
        ("/peers/pacs/timers/idle", "default"),
        ("/peers/off/enabled", "site.yaml:20"),
        ("/keys/research", "file research.key, site.yaml:10"),
        ("/routes/0/stop", "default"),
        ("/unmatched", "site.yaml:28"),
    ],
)
def test_origins(site: Path, pointer: str, origin: str) -> None:
    _, tree = in_force(site, ENVIRON)
    assert dict(origins(tree))[pointer] == origin


def test_a_configuration_with_errors_has_nothing_in_force(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    loaded, tree = in_force(tmp_path / "site.yaml", {})
    assert (loaded.table, tree) == (None, {})


def test_an_identity_in_base64_is_a_secret_too(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("""\
gateway: {ae_title: GW, listeners: [{port: 1}]}
unmatched: hold
peers:
  pacs:
    ae_title: PACS
    address: pacs:104
    associate: {ext_neg: {user_identity: {type: kerberos, primary_base64: dGlja2V0}}}
""")
    loaded, tree = in_force(tmp_path, {})
    assert loaded.table is not None
    assert "dGlja2V0" not in as_yaml(tree)
    assert HIDDEN in as_yaml(tree)


def test_every_setting_that_holds_a_secret_says_so() -> None:
    marked = {
        f"{cls.__name__}.{name}"
        for cls in (RulesSpec, UserIdentitySpec, ListenerTLSSpec, PeerTLSSpec)
        for name, setting in settings(cls).items()
        if setting.form.about.is_secret or setting.form.about.is_private_key
    }
    assert marked == {
        "RulesSpec.keys",
        "UserIdentitySpec.primary",
        "UserIdentitySpec.primary_base64",
        "UserIdentitySpec.secondary",
        "ListenerTLSSpec.key",
        "PeerTLSSpec.key",
    }
