"""A deflated object is read once, when it arrives: its deliveries know what they need to know of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.common.turns import in_turns
from gateway.dataset import inflation
from gateway.dataset.encoding import deflate
from gateway.dataset.inflation import inflate
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import wanted
from gateway.delivery.transform import StoredOutbound, changed, finding_facts_of, outbound_for
from gateway.destinations.folder import Folder, FolderDestination
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.delivery import Delivered, Delivery, Dispatch
from gateway.model.instance import Instance
from gateway.model.peer import Peer
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import PayloadUnreadable
from gateway.rehearsal.stage import RehearsedResponse, RehearsedStore, Stage, leave, staged, store
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.resources import NO_RESOURCES
from gateway.routing.language.stored_actions import canonical_json
from gateway.routing.table import RoutingTable
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.fakes.memory_journal import Body
from tests.unit.routing.build import ASSOCIATION, actions, coercion, route, table

DEFLATED = "1.2.840.10008.1.2.1.99"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
UID = "1.2.3.4.5"
PATH = "{{ PatientName }}/{{ StudyInstanceUID }}/{{ Modality }}/{{ InstitutionName }}{{ SOPInstanceUID }}.dcm"
WRITTEN = f"Nobody^At^All/1.2.3.1/MR/North{UID}.dcm"


class Inflations:
    """How many deflate streams were begun."""

    count = 0

    def since(self) -> int:
        """Since it was asked last."""
        count, self.count = self.count, 0
        return count


@pytest.fixture
def inflations(monkeypatch: pytest.MonkeyPatch) -> Inflations:
    counted = Inflations()
    real = inflation._DeflateStream.__init__

    def begin(self: Any, *arguments: Any) -> None:
        counted.count += 1
        real(self, *arguments)

    monkeypatch.setattr(inflation._DeflateStream, "__init__", begin)
    return counted


def rules(root: Path, then: list[dict[str, object]] | None = None, *, is_tagged: bool = True) -> RoutingTable:
    """Everything goes to a folder, with these actions; what arrives is tagged."""
    made = table(
        route("files", {"modality": ["MR"]}, "files", then=then),
        coercions=(coercion("tag", {"modality": ["MR"]}, [{"set": {"InstitutionName": "North"}}]),) * is_tagged,
    )
    return replace(made, peers={"files": Peer("files", destination=Folder(f"{root}/{PATH}", str(root)))})


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(rules(tmp_path)) as made:
        yield made


async def arrived(rules: RoutingTable, syntax: str = DEFLATED) -> RehearsedResponse:
    plain = data_set(UID)
    body = MemoryDataSet(deflate([plain]) if syntax == DEFLATED else plain)
    stored = await store(rules, ASSOCIATION, RehearsedStore(MR, UID, syntax, body), NOW)
    assert stored.status == 0
    return stored


def of(stored: RehearsedResponse) -> tuple[Instance, EncodedDataSet, Dispatch]:
    assert stored.instance is not None
    assert stored.body is not None
    return stored.instance, stored.body, stored.dispatches[0]


async def write(rules: RoutingTable, outbound: StoredOutbound) -> set[str]:
    """Into the folder; the paths below it."""
    peer = rules.peers["files"]
    assert isinstance(peer.destination, Folder)
    assert await FolderDestination(peer.name, peer.destination).send(outbound) == Delivered()
    root = Path(peer.destination.root)
    return {str(path.relative_to(root)) for path in root.rglob("*.dcm")}


async def test_a_file_is_named_without_inflating_the_object(stage: Stage, inflations: Inflations) -> None:
    stored = await arrived(stage.table)
    assert inflations.since() == 2  # read, and edited by the coercion
    for _ in range(3):  # as often as it is tried
        assert await write(stage.table, await leave(stage, *of(stored))) == {WRITTEN}
    assert inflations.since() == 0


async def test_without_coercions_it_is_inflated_once_in_all(
    stage: Stage, tmp_path: Path, inflations: Inflations
) -> None:
    untagged = rules(tmp_path, is_tagged=False)
    stored = await arrived(untagged)
    assert await write(untagged, await leave(stage, *of(stored))) == {WRITTEN.replace("North", "")}
    assert inflations.since() == 1


@pytest.mark.parametrize(
    ("then", "inflated", "name"),
    [
        ([{"set_if_missing": {"PatientName": "A"}}, {"remove": ["PatientComments"]}], 0, WRITTEN),
        ([{"set": {"InstitutionName": "South {{ Modality }} "}}], 1, WRITTEN.replace("North", "South MR")),
        ([{"set": {"PatientName": "B"}}, {"set": {"StudyInstanceUID": "9.8"}}], 1, f"B/9.8/MR/North{UID}.dcm"),
    ],
    ids=["actions that change nothing", "an edit", "two edits"],
)
async def test_actions_inflate_it_only_to_change_it(
    tmp_path: Path, inflations: Inflations, then: list[dict[str, object]], inflated: int, name: str
) -> None:
    here = rules(tmp_path, then)
    async with staged(here) as stage:
        stored = await arrived(here)
        inflations.since()
        outbound = await leave(stage, *of(stored))
        assert await write(here, outbound) == {name}
    assert inflations.since() == inflated
    left = bytes(inflate(outbound.body.view()))
    assert (b"North" in left) is ("North" in name)


async def test_an_object_of_a_former_version_is_inflated_once_for_its_path(
    stage: Stage, inflations: Inflations
) -> None:
    instance, body, dispatch = of(await arrived(stage.table))
    inflations.since()
    outbound = await leave(stage, replace(instance, kept_facts=""), body, dispatch)
    assert await write(stage.table, outbound) == {WRITTEN}
    assert inflations.since() == 1


async def test_what_later_rules_ask_for_is_read_then(tmp_path: Path, inflations: Inflations) -> None:
    """A reload changed the folder's path since."""
    stored = await arrived(rules(tmp_path))
    later = rules(tmp_path)
    folder = Folder(f"{tmp_path}/{{{{ BitsAllocated }}}}-{{{{ PatientName }}}}.dcm", str(tmp_path))
    later = replace(later, peers={"files": Peer("files", destination=folder)})
    inflations.since()
    async with staged(later) as stage:
        assert await write(later, await leave(stage, *of(stored))) == {"16-Nobody^At^All.dcm"}
    assert inflations.since() == 1


async def test_a_plain_object_keeps_nothing(stage: Stage) -> None:
    instance, _, _ = of(await arrived(stage.table, EXPLICIT))
    assert instance.kept_facts == ""


async def test_rules_that_ask_nothing_of_stored_objects_keep_nothing() -> None:
    instance, _, _ = of(await arrived(table(route("all", {"modality": ["MR"]}, "pacs"))))
    assert instance.kept_facts == ""


async def test_edits_of_an_edited_object_see_the_edits_before(stage: Stage) -> None:
    """What was kept is of the stored bytes; others are edited the second time."""
    outbound = await leave(stage, *of(await arrived(stage.table)))
    for then in (
        {"PatientName": "B"},
        {"InstitutionName": "{{ InstitutionName }} {{ PatientName }}"},
        {"Modality": "CT"},
    ):
        outbound = await changed(outbound, actions([{"set": then}]), stage.converter)
    asked = [parse(name) for name in ("PatientName", "InstitutionName", "Modality")]
    facts, _ = await in_turns(finding_facts_of(outbound, asked))
    expected = [("B",), ("North B",), ("CT",)]
    assert [facts.values(path) for path in asked] == expected
    assert [outbound.facts.values(path) for path in asked] == expected
    left = scan(inflate(outbound.body.view()), EXPLICIT, wanted(tuple(asked)))
    assert [left.values(path) for path in asked] == expected


@pytest.mark.process
async def test_an_object_that_was_converted_is_read_anew(stage: Stage) -> None:
    """What was kept is of other bytes."""
    instance, body, dispatch = of(await arrived(stage.table))
    then = canonical_json([{"transcode": {"to": [EXPLICIT]}}])
    outbound = await leave(stage, instance, body, replace(dispatch, actions_json=then))
    assert outbound.transfer_syntax_uid == EXPLICIT
    assert outbound.instance.kept_facts == ""
    assert outbound.facts.values(parse("InstitutionName")) == ("North",)


class Failing(Body):
    """Its disk gives an error."""

    def view(self) -> memoryview:
        raise PayloadUnreadable("Input/output error")


async def test_a_disk_that_cannot_be_read_is_no_fault_of_the_object(tmp_path: Path) -> None:
    """A path that asks for attributes reads the object: that is tried again, and refuses nothing."""
    here = rules(tmp_path)
    instance, _, dispatch = of(await arrived(here, EXPLICIT))
    delivery = Delivery(1, instance, "files", dispatch.rule, "", dispatch.state, 0, NOW, NOW)
    outbound = await outbound_for(delivery, Failing(b""), NO_RESOURCES)
    folder = here.peers["files"].destination
    assert isinstance(folder, Folder)
    with pytest.raises(PayloadUnreadable):
        await FolderDestination("files", folder).send(outbound)
