"""Good configurations, and what they compile to."""

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config import Loaded, load
from gateway.destinations.folder import Folder
from gateway.model.associate import AssociateKeywords, ProposedContext, Role, UserIdentity
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.peer import PeerGroup, Retry
from gateway.model.security import TLS
from gateway.model.settings import HTTP, Spool
from gateway.routing.table import RoutingTable
from tests.support.certificates import self_signed

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

GATEWAY = "gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}\nunmatched: hold\n"
ENVIRON = {"PORT": "104", "AE": "PACS", "ON": "true", "PASSCODE": "s3cr3t"}

Compile = Callable[[str], RoutingTable]


@pytest.fixture
def working_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def compile_text(tmp_path: Path, working_folder: Path) -> Compile:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "tls").mkdir()
    (rules / "tls" / "gw.pem").write_text(self_signed()[0])
    (rules / "tls" / "gw.key").write_text(self_signed()[1])

    def compiled(text: str) -> RoutingTable:
        (rules / "a.yaml").write_text(text if "gateway:" in text else GATEWAY + dedent(text))
        loaded: Loaded = load(rules, ENVIRON, working_folder)
        assert [str(problem) for problem in loaded.problems if problem.severity == "error"] == []
        assert loaded.table is not None
        assert loaded.settings is loaded.table.settings
        return loaded.table

    return compiled


def test_the_smallest_configuration_has_the_documented_defaults(compile_text: Compile, working_folder: Path) -> None:
    settings = compile_text(GATEWAY).settings

    assert settings.ae_title == "GATEWAY"
    assert settings.listeners == (Listener("port-11112", 11112),)
    assert settings.spool == Spool(str(working_folder / "var/spool"))
    assert settings.queue_path == str(working_folder / "var/gateway.db")
    assert settings.http is None
    assert settings.admit == "any"
    assert settings.timers == Timers()
    assert settings.limits == Limits()
    assert settings.drain_s == 30
    assert settings.pid_file == ""


def test_every_process_setting(compile_text: Compile, working_folder: Path) -> None:
    table = compile_text(
        dedent("""\
        gateway:
          ae_title: " GATEWAY "
          called_ae_titles: [ARCHIVE, "*"]
          listeners:
            - {port: 0, address: 127.0.0.1, name: plain}
            - {port: 2762, address: "::1", proxy_protocol: {from: [10.0.0.5, 10.0.1.0/24, "fd00::5"]}}
          spool: {path: /srv/spool, min_free: 1.5 GiB, retention: 2 d, quarantine_retention: 90 d, segment_size: 1 GB,
                  large_object: 500 kB, keep_trace: 60 d}
          queue: {sqlite: db/queue.db}
          http: {address: "[::1]:9090"}
          admit: known
          timers: {connect: 1 s, tls_handshake: 2 s, association: 500 ms, dimse: 1.5 min, idle: 1 h,
                   progress: 3 min, message: 2 d}
          limits:
            {associations: 7, associations_of_strangers: 5, associations_per_host: 4, associations_per_peer: 3,
             unassociated: 9, unassociated_per_host: 2, max_pdu: 16384, command_size: 8 KiB, object_size: 2 GB}
          drain: 0 s
          pid_file: var/gateway.pid
        unmatched: reject
        """)
    )

    settings = table.settings
    assert settings.ae_title == "GATEWAY"
    assert settings.called_ae_titles == ("ARCHIVE", "*")
    assert settings.listeners == (
        Listener("plain", 0, "127.0.0.1"),
        Listener("port-2762---1", 2762, "::1", proxies=("10.0.0.5", "10.0.1.0/24", "fd00::5")),
    )
    assert settings.spool == Spool("/srv/spool", 1536 * 1024**2, 172800.0, 90 * 86400.0, 10**9, 500_000, 60 * 86400.0)
    assert settings.queue_path == str(working_folder / "db/queue.db")
    assert settings.http == HTTP("::1", 9090)
    assert settings.admit == "known"
    assert settings.timers == Timers(1.0, 2.0, 0.5, 90.0, 3600.0, 180.0, 172800.0)
    assert settings.limits == Limits(7, 3, 16384, 8192, 2 * 10**9, 5, 4, 9, 2)
    assert settings.drain_s == 0
    assert settings.pid_file == str(working_folder / "var/gateway.pid")
    assert table.unmatched == "reject"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        pytest.param("{ae_title: A, address: 'a:104'}", {"ae_title": "A", "host": "a", "port": 104}, id="address"),
        pytest.param("{ae_title: A, address: '[2001:db8::7]:104'}", {"host": "2001:db8::7", "port": 104}, id="IPv6"),
        pytest.param("{ae_title: A, address: '10.0.0.1:${PORT}'}", {"host": "10.0.0.1", "port": 104}, id="substituted"),
        pytest.param("{ae_title: 1234, address: 'a:104'}", {"ae_title": "1234"}, id="a number where text is wanted"),
        pytest.param("{ae_title: 0010, address: 'a:104'}", {"ae_title": "0010"}, id="leading zeros"),
        pytest.param("{ae_title: NO, address: 'a:104'}", {"ae_title": "NO"}, id="NO"),
        pytest.param("{ae_title: TRUE, address: 'a:104'}", {"ae_title": "TRUE"}, id="TRUE"),
        pytest.param("{ae_title: 1.50, address: 'a:104'}", {"ae_title": "1.50"}, id="keeps its spelling"),
        pytest.param("{ae_title: ' A B ', address: 'a:104'}", {"ae_title": "A B"}, id="padding is not significant"),
        pytest.param(
            "{ae_title: A, may: [store]}", {"may": {"store", "echo"}, "is_destination": False}, id="requestor"
        ),
        pytest.param(
            "{ae_title: A, may: [store], hosts: [10.0.0.1, 10.1.0.0/16, 'fe80::/10']}",
            {"hosts": ("10.0.0.1", "10.1.0.0/16", "fe80::/10")},
            id="hosts",
        ),
        pytest.param(
            "{ae_title: A, may: [store], accept: {sop_classes: [CTImageStorage, MR Image Storage, 1.2.3.4],"
            " transfer_syntaxes: [JPEG2000Lossless, 1.2.840.10008.1.2.1]}}",
            {
                "accept_sop_classes": (CT, MR, "1.2.3.4"),
                "accept_transfer_syntaxes": (JPEG_2000_LOSSLESS, EXPLICIT_LITTLE),
            },
            id="accept by keyword, name and UID",
        ),
        pytest.param(
            "{ae_title: A, may: [store], accept: {prefer: [JPEG2000Lossless, 1.2.840.10008.1.2.1]}}",
            {"accept_transfer_syntaxes": (), "prefer_transfer_syntaxes": (JPEG_2000_LOSSLESS, EXPLICIT_LITTLE)},
            id="what is preferred",
        ),
        pytest.param("{ae_title: A, may: [store]}", {"accepts_odd_uids": False}, id="only UIDs"),
        pytest.param("{ae_title: A, may: [store]}", {"log_objects": None}, id="the log of all"),
        pytest.param("{ae_title: A, log: {objects: object}}", {"log_objects": "object"}, id="a log of its own"),
        pytest.param("{ae_title: A, may: [store], accept: {uids: any}}", {"accepts_odd_uids": True}, id="any UIDs"),
        pytest.param(
            "{ae_title: A, address: 'a:104', calling_ae_title: US, delivery: {associations: 4,"
            " retry: {first: 1 s, factor: 1.5, max: 1 min, jitter: 0, give_up_after: 1 h}}, timers: {dimse: 5 s}}",
            {
                "calling_ae_title": "US",
                "associations": 4,
                "retry": Retry(1.0, 1.5, 60.0, 0.0, 3600.0),
                "timers": Timers(dimse_s=5.0),
            },
            id="delivery",
        ),
        pytest.param(
            "{ae_title: A, address: 'a:104'}", {"associate": AssociateKeywords(), "retry": Retry()}, id="defaults"
        ),
        pytest.param(
            "{associate: {ae_title: B}, address: 'a:104'}",
            {"ae_title": "", "associate": AssociateKeywords(called_ae_title="B")},
            id="called AE title alone",
        ),
    ],
)
def test_peers(peer: str, expected: dict[str, object], compile_text: Compile) -> None:
    compiled = compile_text(f"peers:\n  p: {peer}\n").peers["p"]

    assert {name: getattr(compiled, name) for name in expected} == expected


def test_timers_of_the_gateway_hold_for_peers_that_say_nothing(compile_text: Compile) -> None:
    table = compile_text(
        GATEWAY.replace("admit: any", "admit: any, timers: {dimse: 7 s, connect: 3 s}")
        + "peers: {p: {ae_title: P, address: 'p:104', timers: {connect: 1 s}}}\n"
    )

    assert table.peers["p"].timers == Timers(connect_s=1.0, dimse_s=7.0)


def test_associate_takes_the_keywords_of_the_library(compile_text: Compile, tmp_path: Path) -> None:
    table = compile_text("""\
        peers:
          p:
            ae_title: P
            address: p.example.org:2762
            associate:
              ae_title: CALLED
              max_pdu: 65536
              bind_address: 10.0.0.5:10400
              contexts:
                - {abstract_syntax: CTImageStorage, transfer_syntax: [JPEG2000Lossless, Explicit VR Little Endian]}
                - {abstract_syntax: 1.2.3.4, transfer_syntax: [1.2.840.10008.1.2.1]}
              ext_neg:
                roles: [{sop_class: CTImageStorage, scu_role: true, scp_role: true}]
                extended: [{sop_class: StudyRootQueryRetrieveInformationModelFind, information: "01 00ff"}]
                common_extended: [{sop_class: 1.2.3.4, service_class: 1.2.840.10008.4.2, related: [CTImageStorage]}]
                user_identity: {type: username_passcode, primary: me, secondary: "${PASSCODE}",
                                positive_response_requested: true}
                async_operations: {invoked: 5, performed: 0}
              tls_args: {certificate: tls/gw.pem, key: tls/gw.key, ca: tls/gw.pem, server_name: pacs,
                         minimum_version: 1.3}
        """)

    tls = tmp_path / "rules" / "tls"
    assert table.peers["p"].associate == AssociateKeywords(
        contexts=(
            ProposedContext(CT, (JPEG_2000_LOSSLESS, EXPLICIT_LITTLE)),
            ProposedContext("1.2.3.4", (EXPLICIT_LITTLE,)),
        ),
        called_ae_title="CALLED",
        max_pdu_bytes=65536,
        roles=(Role(CT, scu_role=True, scp_role=True),),
        extended=(("1.2.840.10008.5.1.4.1.2.2.1", b"\x01\x00\xff"),),
        common_extended=(("1.2.3.4", "1.2.840.10008.4.2", (CT,)),),
        user_identity=UserIdentity("username_passcode", "me", "s3cr3t", is_response_requested=True),
        async_operations=(5, 0),
        bind_address=("10.0.0.5", 10400),
        tls=TLS(
            certificate=str(tls / "gw.pem"),
            key=str(tls / "gw.key"),
            ca=(str(tls / "gw.pem"),),
            minimum_version="1.3",
            server_name="pacs",
        ),
    )
    assert "s3cr3t" not in repr(table.peers["p"])


def test_tls_of_listeners(compile_text: Compile, tmp_path: Path) -> None:
    listeners = """\
    gateway:
      ae_title: GATEWAY
      admit: any
      listeners:
        - {port: 1, tls: {certificate: tls/gw.pem, key: tls/gw.key}}
        - {port: 2, tls: {certificate: tls/gw.pem, key: tls/gw.key, client_ca: tls/gw.pem}}
        - port: 3
          tls: {certificate: tls/gw.pem, key: tls/gw.key, client_ca: tls/gw.pem, client_certificates: optional}
        - {port: 4, tls: {certificate: tls/gw.pem, key: "${file:tls/gw.key}", minimum_version: "1.3"}}
    unmatched: hold
    """
    settings = compile_text(dedent(listeners)).settings

    tls = [listener.tls for listener in settings.listeners]
    assert [one.client_certificates for one in tls if one] == ["none", "required", "optional", "none"]
    assert tls[1] is not None
    assert tls[1].ca == (str(tmp_path / "rules/tls/gw.pem"),)
    assert tls[3] is not None
    assert (tls[3].key, tls[3].key_pem[:27], tls[3].minimum_version) == ("", "-----BEGIN PRIVATE KEY-----", "1.3")


@pytest.mark.parametrize(
    ("folder", "path_template", "root"),
    [
        ("path: '/data/{{ StudyInstanceUID }}/{{ SOPInstanceUID }}.dcm'", None, "/data"),
        ("path: '/data/study-{{ StudyInstanceUID }}.dcm'", None, "/data"),
        ("path: '/data/a/{{ SOPInstanceUID }}', root: /data", None, "/data"),
        ("path: 'files/{{ SOPInstanceUID }}'", "@/files/{{ SOPInstanceUID }}", "@/files"),
        ("path: '{{ SOPInstanceUID }}'", "@/{{ SOPInstanceUID }}", "@"),
        ("path: './files//{{ SOPInstanceUID }}'", "@/files/{{ SOPInstanceUID }}", "@/files"),
    ],
)
def test_folders(
    folder: str, path_template: str | None, root: str, compile_text: Compile, working_folder: Path
) -> None:
    compiled = compile_text(f"peers: {{p: {{folder: {{{folder}}}}}}}\n").peers["p"].destination

    written = folder.split("'")[1]
    expected = (path_template or written).replace("@", str(working_folder))
    assert compiled == Folder(expected, root.replace("@", str(working_folder)))


ROUTING = """\
peers:
  pacs: {ae_title: PACS, address: "pacs:104"}
  vna: {ae_title: VNA, address: "vna:104"}
  old: {ae_title: OLD, address: "old:104", enabled: false}
groups:
  archives: {all: [pacs, vna, old]}
  gone: {all: [old]}
"""


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param("{name: a, to: [pacs]}", [("a", ("pacs",), False)], id="a peer"),
        pytest.param("{name: a, to: [archives]}", [("a", ("pacs", "vna"), False)], id="a group without its disabled"),
        pytest.param("{name: a, to: [vna, archives]}", [("a", ("vna", "pacs"), False)], id="each destination once"),
        pytest.param("{name: a, to: [old]}", [], id="nothing but disabled peers"),
        pytest.param("{name: a, to: [gone], stop: true}, {name: b, to: [pacs]}", [("b", ("pacs",), False)], id="group"),
        pytest.param("{name: a, to: [pacs], enabled: false}", [], id="disabled route"),
        pytest.param("{name: a, to: [pacs], enabled: '${ON}'}", [("a", ("pacs",), False)], id="enabled by environment"),
        pytest.param(
            "{name: a, to: [pacs], stop: true, when: {modality: [CT]}}, {name: b, to: [vna]}",
            [("a", ("pacs",), True), ("b", ("vna",), False)],
            id="order and stop",
        ),
    ],
)
def test_routes(routes: str, expected: list[tuple[str, tuple[str, ...], bool]], compile_text: Compile) -> None:
    table = compile_text(f"{ROUTING}routes: [{routes}]\n")

    assert [(route.name, route.to, route.stop) for route in table.routes] == expected
    assert set(table.peers) == {"pacs", "vna"}
    assert dict(table.groups) == {"archives": PeerGroup("archives", ("pacs", "vna"))}


def test_actions_and_conditions_reach_the_table(compile_text: Compile) -> None:
    table = compile_text(
        ROUTING
        + dedent("""\
        coercions:
          - then: [{set: {InstitutionName: "North {{ StationName }}"}}]
          - {name: second, when: {calling_ae_title: [1234]}, then: [{remove: [00100030]}]}
          - {enabled: false, then: [{remove: [PatientID]}]}
        routes:
          - name: a
            when: {attribute: {select: BodyPartExamined, equals: 1.50}}
            then: [{set: {PatientID: 0042}}]
            to: [pacs]
        """)
    )

    assert [coercion.name for coercion in table.coercions] == ["coercion-1", "second"]
    assert {"StationName", "BodyPartExamined"} <= {path.text for path in table.attributes_needed}
    assert table.routes[0].actions_json == '[{"set":{"PatientID":"0042"}}]'
    assert len(table.routes[0].actions) == 1
    assert getattr(table.routes[0].when, "equals", None) == "1.50"
    assert table.routes[0].mark is not None
    assert os.path.basename(table.routes[0].mark.file) == "a.yaml"


def test_the_table_carries_the_version_of_its_sources(compile_text: Compile) -> None:
    assert compile_text(GATEWAY).version == compile_text(GATEWAY).version != compile_text(GATEWAY + "\n").version


def test_titles_of_disabled_peers_are_reserved(compile_text: Compile) -> None:
    table = compile_text("""\
        peers:
          ct1: {ae_title: CT1, may: [store], enabled: false}
          ct2: {ae_title: CT2, may: [store]}
          ct3: {ae_title: CT3, requires: {listener: port-11112}, enabled: false}
          pacs: {ae_title: PACS, address: "pacs:104", enabled: false}
        """)
    assert table.reserved_ae_titles == {"CT1", "CT3"}


CLEAR: dict[str, tuple[str, str, list[str]]] = {
    "a listener": ("{port: 1, user_identity: {verified_by: staff}}", "{}", ["4"]),
    "a listener on loopback": ("{port: 1, address: 127.0.0.1, user_identity: {verified_by: staff}}", "{}", []),
    "a listener with TLS": (
        "{port: 1, tls: {certificate: gw.pem, key: gw.key}, user_identity: {verified_by: staff}}",
        "{}",
        [],
    ),
    "a command, which may have no secrets": ("{port: 1, user_identity: {verified_by: others}}", "{}", []),
    "a peer": ("{port: 1}", "{user_identity: {verified_by: [others, staff]}}", ["9"]),
    "a peer over TLS": (
        "{port: 1, tls: {certificate: gw.pem, key: gw.key}}, {port: 2}",
        "{tls: true, user_identity: {verified_by: staff}}",
        [],
    ),
    "a peer over another listener": (
        "{port: 1, name: a, tls: {certificate: gw.pem, key: gw.key}}, {port: 2}",
        "{listener: a, user_identity: {verified_by: staff}}",
        [],
    ),
}


@pytest.mark.parametrize(("listeners", "requires", "lines"), CLEAR.values(), ids=CLEAR.keys())
def test_secrets_without_tls_are_reported(tmp_path: Path, listeners: str, requires: str, lines: list[str]) -> None:
    certificate, key = self_signed()
    for name, text in {"gw.pem": certificate, "gw.key": key, "passwords.txt": "# nobody yet\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "site.yaml"
    path.write_text(
        f"gateway:\n  ae_title: GATEWAY\n  admit: any\n  listeners: [{listeners}]\nunmatched: hold\nuser_identities:\n"
        "  staff: {password_file: passwords.txt}\n"
        "  others: {command: {run: [/bin/true], types: [kerberos]}}\n"
        f"peers: {{ct1: {{ae_title: CT1, may: [store], requires: {requires}}}}}\n"
    )
    found = [str(problem).removeprefix(f"{path}:").split(":") for problem in load(path, {}).problems]
    assert [(line, code.strip()) for line, _, _, code, *_ in found] == [(line, "clear-secrets") for line in lines]
