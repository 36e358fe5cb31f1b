"""Facts and rules made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scan import at_once
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.problem import Mark, SettingPath
from gateway.model.settings import Settings, Spool, UnmatchedPolicy
from gateway.ports.kinds import Action, Predicate
from gateway.routing.facts import ObjectFacts
from gateway.routing.language.kinds import build_actions, build_predicate
from gateway.routing.language.stored_actions import canonical_json
from gateway.routing.table import Coercion, Route, RoutingTable
from tests.support.data_set_writer import EXPLICIT, Write

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
"""A Saturday."""
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ASSOCIATION = AssociationFacts(
    calling_ae_title="MR1", called_ae_title="GATEWAY", remote_host="10.1.2.3", peer="mr", user_identity="tech"
)

VRS = {"ImageType": "CS", "Modality": "CS", "Rows": "US", "SOPClassUID": "UI", "SOPInstanceUID": "UI"}


class Body:
    """An encoded data set in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.views = 0

    @property
    def length_bytes(self) -> int:
        return len(self.content)

    def view(self) -> memoryview:
        self.views += 1
        return memoryview(self.content)

    def chunks(self, size_bytes: int) -> list[bytes]:
        return [self.content[start : start + size_bytes] for start in range(0, len(self.content), size_bytes)]

    def close(self) -> None: ...


def encoded(attributes: Mapping[str, str]) -> bytes:
    """Explicit VR little endian; text VRs are all LO unless named above."""
    write = Write(EXPLICIT_LITTLE)
    return b"".join(write.element(keyword, VRS.get(keyword, "LO"), value) for keyword, value in attributes.items())


def predicate(config: object) -> Predicate:
    built = build_predicate(config, fail)
    assert built is not None
    return built


def actions(config: object) -> tuple[Action, ...]:
    return build_actions(config, fail)


def fail(path: SettingPath, code: str, message: str) -> None:
    raise AssertionError(f"{path}: {code}: {message}")


def problems_of_predicate(config: object) -> list[tuple[SettingPath, str, str]]:
    found: list[tuple[SettingPath, str, str]] = []
    built = build_predicate(config, lambda *problem: found.append(problem))
    assert (built is None) is bool(found)
    return found


def problems_of_actions(config: object) -> list[tuple[SettingPath, str, str]]:
    found: list[tuple[SettingPath, str, str]] = []
    build_actions(config, lambda *problem: found.append(problem))
    return found


def route(name: str, when: object, *to: str, then: object = None, stop: bool = False, line: int = 1) -> Route:
    mark = Mark("routes.yaml", line, 3)
    return Route(name, predicate(when), to, canonical_json(then), actions(then), stop, mark)


def coercion(name: str, when: object, then: object) -> Coercion:
    return Coercion(name, predicate(when), actions(then), Mark("coercions.yaml", 1, 1))


def table(*routes: Route, coercions: tuple[Coercion, ...] = (), unmatched: UnmatchedPolicy = "hold") -> RoutingTable:
    settings = Settings(ae_title="GATEWAY", listeners=(), spool=Spool(path="/var/spool"), queue_path="/var/queue.db")
    peers = {name: Peer(name) for one in routes for name in one.to}
    return RoutingTable("1", settings, coercions, routes, peers, {}, unmatched)


def facts(
    attributes: Mapping[str, str],
    *wanted: RoutingTable,
    association: AssociationFacts = ASSOCIATION,
    received_at: datetime = NOW,
) -> ObjectFacts:
    """Facts of an MR image with these attributes; `wanted` tables say which are read."""
    reading = wanted[0] if wanted else table(route("all of them", {"all": [exists(keyword) for keyword in attributes]}))
    return at_once(
        reading.reading_facts(
            association=association,
            sop_class_uid=MR_IMAGE,
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(encoded(attributes)),
            received_at=received_at,
            is_to_explain=True,
        )
    )


def exists(keyword: str) -> dict[str, object]:
    return {"attribute": {"select": keyword, "exists": True}}
