"""The first configuration of a site, as `gateway init` writes it: one archive, one modality, one route."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import yaml

from gateway.common.quantity import ADDRESS, host_and_port
from gateway.config.process import host_fault

FILE = "site.yaml"
"""The name of the file in the rules folder."""
LONGEST_AE_TITLE = 16
LOOPBACK = ("127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared and shown, not bound
NO_LOOP = "give the archive's address and port, not those of the gateway: objects would come back to it"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a site. Each text is free of faults (`fault`), and so are they together (`conflict`)."""

    ae_title: str
    address: str
    """Own address to listen on."""
    port: str
    archive_ae_title: str
    archive_host: str
    archive_port: str
    modality_ae_title: str
    modality_host: str
    """Numeric address or network."""
    http: str = "127.0.0.1:8080"
    data: str = "var"
    """Folder of spool and database."""


def fault(name: str, text: str) -> str:
    """The fault of one answer, as a sentence; empty when there is none. `name` is a field of `Answers`."""
    return CHECKS[name](text)


def ae_title_fault(text: str) -> str:
    """PS3.5 §6.2: VR AE."""
    if not text.strip(" "):
        return "An AE title is empty or only spaces; write 1 to 16 characters, such as `PACS`."
    if "\\" in text:
        return "An AE title must not hold a backslash (PS3.5 §6.2): it separates values."
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        return "An AE title must not hold control characters such as tabs and line ends (PS3.5 §6.2)."
    if not text.isascii():
        return "An AE title holds ASCII alone (PS3.5 §6.2): no umlauts, no accents, no other scripts."
    if len(text.strip(" ")) > LONGEST_AE_TITLE:
        return f"An AE title has at most 16 characters (PS3.5 §6.2); this one has {len(text.strip(' '))}."
    return ""


def port_fault(text: str) -> str:
    """A TCP port that others can be given."""
    if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return ""
    return f"{text!r} is no port: write a number from 1 to 65535. DICOM's registered ports are 104 and 11112."


def host_name_fault(text: str) -> str:
    """A host that we call."""
    if not text:
        return "A host is missing: write a host name such as `pacs.example.org`, or an IP address."
    if re.fullmatch(r"[^\[\]:]+:[0-9]+", text):
        return f"{text!r} holds a port: write the host alone; the port is an answer of its own."
    if problem := host_fault(text):
        return f"{text!r} {problem}."
    return ""


def own_address_fault(text: str) -> str:
    """An address to listen on."""
    if problem := host_fault(text, is_numeric=True):
        return f"{text!r} {problem}; 0.0.0.0 listens on all addresses of this machine."
    return ""


def caller_fault(text: str) -> str:
    """The fault of the address that a modality calls from: rules compare numeric addresses (`peers.….hosts`)."""
    try:
        ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)
    except ValueError:
        if "/" in text:
            return f"{text!r} is no network: write its first address and the length of its prefix, as in 10.1.0.0/16."
        return (
            f"{text!r} is no IP address: write the address that the modality calls from, such as 10.1.0.7, or its "
            "network, such as 10.1.0.0/16. Names are not looked up for those who call."
        )
    return ""


def http_fault(text: str) -> str:
    """HOST:PORT of the HTTP listener."""
    if not re.fullmatch(ADDRESS, text):
        return f"{text!r} is not HOST:PORT, as in 127.0.0.1:8080."
    host, port = host_and_port(text)
    return host_name_fault(host) or port_fault(str(port))


def data_fault(text: str) -> str:
    """A folder."""
    if not text.strip() or "\x00" in text:
        return "Name a folder for spool and database, such as `var` or `/var/lib/gateway`."
    return ""


CHECKS: Mapping[str, Callable[[str], str]] = {
    "ae_title": ae_title_fault,
    "address": own_address_fault,
    "port": port_fault,
    "archive_ae_title": ae_title_fault,
    "archive_host": host_name_fault,
    "archive_port": port_fault,
    "modality_ae_title": ae_title_fault,
    "modality_host": caller_fault,
    "http": http_fault,
    "data": data_fault,
}


def conflict(answers: Answers) -> tuple[str, str]:
    """(the answer that does not go with another one, why, as a sentence); empty when all go together. Empty answers are
    not known yet."""
    http_host, http_port = host_and_port(answers.http)
    is_same_place = http_host == answers.address or bool({http_host, answers.address} & {*EVERY_ADDRESS})
    if str(http_port) == answers.port and is_same_place:
        return "http", f"The port {http_port} is that of the DICOM listener; HTTP needs one of its own."
    owners: dict[str, str] = {}
    for name, owner in (("ae_title", "gateway"), ("archive_ae_title", "archive"), ("modality_ae_title", "modality")):
        title = str(getattr(answers, name)).strip(" ")
        if title and title in owners:
            return name, f"{title} is the AE title of the {owners[title]} already; each node has its own."
        owners[title] = owner
    if answers.archive_host in {"localhost", *LOOPBACK, answers.address} and answers.archive_port == answers.port != "":
        return "archive_port", f"{answers.archive_host}:{answers.archive_port} is the gateway itself; {NO_LOOP}."
    return "", ""


def site_yaml(answers: Answers) -> str:
    """The file's text."""
    tests_from = [*LOOPBACK]
    if answers.address not in (*LOOPBACK, *EVERY_ADDRESS):
        tests_from.append(answers.address)
    archive = f"[{answers.archive_host}]" if ":" in answers.archive_host else answers.archive_host
    own, modality = quoted(answers.ae_title), quoted(answers.modality_ae_title)
    return TEMPLATE.format(
        own=own,
        address=quoted(answers.address),
        port=int(answers.port),
        spool=quoted(f"{answers.data}/spool"),
        database=quoted(f"{answers.data}/gateway.db"),
        http=quoted(answers.http),
        archive=quoted(answers.archive_ae_title),
        archive_address=quoted(f"{archive}:{int(answers.archive_port)}"),
        modality=modality,
        modality_host=quoted(answers.modality_host),
        tests_from=", ".join(map(quoted, tests_from)),
    )


def quoted(text: str) -> str:
    """`text` as one YAML scalar that stays this text, in a list too; ``${`` stands for itself."""
    escaped = text.strip(" ").replace("${", "$${")
    written = str(yaml.safe_dump([escaped], default_flow_style=True, width=10_000, allow_unicode=True))
    return written.strip().removeprefix("[").removesuffix("]")


TEMPLATE = """\
# A gateway between one modality and one archive, written by `gateway init`. Change it as you like: `gateway validate`
# says whether it is right, `gateway doctor` whether what it names is there. All *.yaml files of this folder make one
# configuration. Every setting is in docs/settings.md, what rules can say is in docs/rules.md.

gateway:
  # What we call ourselves. The modality sends to this AE title, and the archive must know it.
  ae_title: {own}

  # Where we listen for DICOM. 0.0.0.0 stands for every address of this machine.
  listeners:
    - port: {port}
      address: {address}

  # Who may call: `known`: only peers below that have `may`. `any`: strangers too, for C-ECHO and C-STORE.
  admit: known

  # What was received is kept here until it is delivered. A path that does not begin with / is relative to the folder in
  # which the gateway is started. Use a disk of this machine, no network share.
  spool:
    path: {spool}
    min_free: 1 GiB           # with less free space nothing more is taken; the sender is told, and sends again later
  queue:
    sqlite: {database}

  # Health, metrics and `gateway status`, for this machine.
  http:
    address: {http}

peers:
  # The archive. We send to it; it does not call us.
  archive:
    ae_title: {archive}
    address: {archive_address}

  # The modality. It calls us, under this AE title and from this address (or network); others of its name do not get in.
  modality:
    ae_title: {modality}
    may: [echo, store]
    hosts: [{modality_host}]

  # This machine, so that `gateway echo` can try the listener.
  this-machine:
    ae_title: {own}
    may: [echo]
    hosts: [{tests_from}]

# Every route that fits an object adds its destinations. More can be asked for under `when`, for example
# `modality: [CT, MR]`; another route can send the same object elsewhere too.
routes:
  - name: from the modality to the archive
    when:
      calling_ae_title: [{modality}]
    to: [archive]

# What no route wants: `hold` keeps it until somebody decides (`gateway queue list`), `reject` refuses it, and `discard`
# throws it away. There is no default: to lose objects is a decision.
unmatched: hold
"""
