"""An edited object differs from the original in exactly the edited elements: raw bytes, end to end, real objects."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaigns.byte_exact import waves
from tests.support.corpus import Part10, read_part10
from tests.support.elements import BIG_ENDIAN, IMPLICIT, elements, value
from tests.support.peers import GatewayProcess, StoreSCP, stock_scu, stored

INSTITUTION_NAME, STATION_NAME, MANUFACTURER = 0x00080080, 0x00081010, 0x00080070
ACCESSION_NUMBER, PATIENT_SEX, STUDY_ID, COMMENTS = 0x00080050, 0x00100040, 0x00200010, 0x00104000

THEN = [
    {"set": {"InstitutionName": "North {{ association.calling_ae_title }}", "00104000": "seen"}},
    {"set_if_missing": {"StationName": "STATION"}},
    {"remove": ["PatientSex"]},
    {"empty": ["AccessionNumber"]},
]
AT_THE_ROUTE = [{"set": {"StudyID": "ROUTED"}}]


def encoded(tag: int, vr: bytes, text: bytes, transfer_syntax_uid: str) -> bytes:
    """An element as the transfer syntax has it; UN has the long form."""
    order: Any = "big" if transfer_syntax_uid == BIG_ENDIAN else "little"
    text += b" " * (len(text) % 2)
    head = (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
    if transfer_syntax_uid == IMPLICIT:
        return head + len(text).to_bytes(4, order) + text
    if vr == b"UN":
        return head + vr + bytes(2) + len(text).to_bytes(4, order) + text
    return head + vr + len(text).to_bytes(2, order) + text


def expected(part: Part10, *, is_routed: bool) -> dict[int, bytes]:
    """The elements that must arrive: those of the original, with the edits and nothing else."""
    syntax = part.transfer_syntax_uid
    found = dict(elements(part.data_set, syntax))
    station = found.get(STATION_NAME)
    wanted = [(INSTITUTION_NAME, b"LO", b"North STOCK"), (COMMENTS, b"LT", b"seen")]
    if station is None or not value(station, syntax).strip(b" \0"):
        wanted.append((STATION_NAME, b"SH", b"STATION"))
    if ACCESSION_NUMBER in found:
        wanted.append((ACCESSION_NUMBER, b"SH", b""))
    if is_routed:
        wanted.append((STUDY_ID, b"SH", b"ROUTED"))
    before = {group: group_size(found, group) for group in (0x0008, 0x0010, 0x0020)}
    for tag, vr, text in wanted:
        if found.get(tag, b"")[4:6] == b"UN" and syntax != IMPLICIT:
            vr = b"UN"  # the VR that the object gives the element stays
        found[tag] = encoded(tag, vr, text, syntax)
    found.pop(PATIENT_SEX, None)
    order: Any = "big" if syntax == BIG_ENDIAN else "little"
    for group, size in before.items():
        length = found.get(group << 16)
        if length is not None:  # follows what is in the group (PS3.5 §7.2); one that was wrong stays as wrong
            growth = group_size(found, group) - size
            found[group << 16] = length[:-4] + (int.from_bytes(length[-4:], order) + growth).to_bytes(4, order)
    return found


def group_size(found: dict[int, bytes], group: int) -> int:
    """Bytes of a group after its group length."""
    return sum(len(content) for tag, content in found.items() if tag >> 16 == group and tag & 0xFFFF)


def rules(files: Path, scp: StoreSCP) -> dict[str, Any]:
    address = f"127.0.0.1:{scp.port}"
    return {
        "peers": {
            "files": {"folder": {"path": f"{files}/{{{{ SOPInstanceUID }}}}.dcm"}},
            "scp": {"ae_title": scp.ae_title, "address": address, "delivery": {"associations": 1}},
        },
        "coercions": [{"then": THEN}],
        "routes": [{"name": "files", "to": ["files"]}, {"name": "scp", "to": ["scp"], "then": AT_THE_ROUTE}],
        "unmatched": "reject",
    }


def accepted(output: str) -> list[Path]:
    """The files that were answered with 0x0000."""
    return [Path(line.split("\t")[1]) for line in output.splitlines() if line.startswith("0000\t")]


def differences(parts: dict[str, Part10], arrived: Path, *, is_routed: bool) -> list[str]:
    """Compare element by element, order included; one line for each object that is not as it must be."""
    wrong = []
    found = {part.sop_instance_uid: part for part in map(read_part10, stored(arrived))}
    for uid, part in parts.items():
        if uid not in found:
            wrong.append(f"{part.path.name}: did not arrive")
            continue
        wanted = expected(part, is_routed=is_routed)
        got = list(elements(found[uid].data_set, part.transfer_syntax_uid))
        tags = {tag for tag, _ in got} ^ wanted.keys()
        tags |= {tag for tag, content in got if wanted.get(tag) != content}
        if tags:
            wrong.append(f"{part.path.name}: " + ", ".join(f"{tag:08X}" for tag in sorted(tags)))
        elif [tag for tag, _ in got] != sorted(wanted):
            wrong.append(f"{part.path.name}: elements out of order")
    return wrong


@pytest.mark.peers
@pytest.mark.timeout(900)
async def test_only_the_edited_elements_change(tmp_path: Path, corpus: tuple[Path, ...]) -> None:
    compared, wrong = 0, []
    async with AsyncExitStack() as stack:
        scp = await stack.enter_async_context(StoreSCP(tmp_path / "scp"))
        gateway = GatewayProcess(tmp_path / "gateway", rules(tmp_path / "files", scp))
        await stack.enter_async_context(gateway)
        for wave in waves(corpus)[:3]:  # later waves hold copies of the same few objects
            sent = accepted((await stock_scu(gateway.port, wave)).output)
            await gateway.idle()
            parts = {part.sop_instance_uid: part for part in map(read_part10, sent) if _is_plain(part)}
            wrong += differences(parts, tmp_path / "files", is_routed=False)
            wrong += differences(parts, scp.folder, is_routed=True)
            compared += len(parts)
            for path in [*stored(tmp_path / "files"), *scp.files()]:
                path.unlink()
    print(f"compared {compared} objects at two destinations")
    assert compared > 100
    assert not wrong, "\n".join(wrong)


def _is_plain(part: Part10) -> bool:
    """True when the object has each element once, in order, and ends where it should: else there is no one answer."""
    try:
        tags = [tag for tag, _ in elements(part.data_set, part.transfer_syntax_uid)]
    except ValueError:
        return False
    return tags == sorted(set(tags))
