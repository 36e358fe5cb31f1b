"""Sites of thousands of routes, written as sites write them: one shape a row of `benchmarks.many_rules`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PEERS = 100
REGIONS = ("HEAD", "NECK", "CHEST", "ABDOMEN", "PELVIS", "SPINE", "KNEE", "HAND")
CLASSES = ("CTImageStorage", "MRImageStorage", "UltrasoundImageStorage", "RTDoseStorage")
MODALITIES = ("CT", "MR", "US")

Written = Callable[[int], str]
"""What stands in the rule of this number."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rules of one site are written."""

    when: Written
    then: Written | None = None
    to: Written = lambda n: f"[peer{n % PEERS}]"
    sections: str = ""
    """What stands beside `gateway`, `peers` and `routes`."""
    files: int = 1
    """Over which the routes are spread; of more than one the site is a folder."""
    peers: int = PEERS


def title(n: int) -> str:
    """The AE title of one of as many senders as there are rules."""
    return f"SENDER{n}"


KEYS = "keys: {research: '0123456789abcdef0123456789abcdef'}"
CONDITIONS = "\n".join(
    [
        "conditions:",
        *(f"  c{n}: {{attribute: {{select: SeriesDescription, matches: '(?i)protocol {n}$'}}}}" for n in range(40)),
    ]
)

PLAIN: dict[str, Shape] = {
    "sender": Shape(lambda n: f"{{calling_ae_title: [{title(n)}]}}"),
    "sender and modality": Shape(
        lambda n: f"{{all: [{{calling_ae_title: [{title(n % 500)}]}}, {{modality: [{MODALITIES[n % 3]}]}}]}}"
    ),
    "SOP class and region": Shape(
        lambda n: (
            f"{{all: [{{sop_class: [{CLASSES[n % 4]}]}}, "
            f"{{attribute: {{select: BodyPartExamined, equals: '{REGIONS[n % 8]} {n}'}}}}]}}"
        )
    ),
    "one attribute": Shape(lambda n: f"{{attribute: {{select: StationName, in: [ST{n}, ROOM{n}]}}}}"),
    "network and modality": Shape(
        lambda n: f"{{all: [{{host: 10.{n % 200}.{n % 250}.0/24}}, {{not: {{modality: [SR]}}}}]}}"
    ),
    "shared expression": Shape(
        lambda n: (
            f"{{all: [{{attribute: {{select: StudyDescription, matches: '(?i)trauma {n % 40}'}}}}, "
            f"{{attribute: {{select: SliceThickness, at_most: {1 + n % 7}}}}}]}}"
        )
    ),
    "named condition": Shape(
        lambda n: f"{{all: [{{condition: c{n % 40}}}, {{attribute: {{select: Manufacturer, starts_with: M{n}}}}}]}}",
        sections=CONDITIONS,
    ),
    "sender and region, with actions": Shape(
        lambda n: (
            f"{{all: [{{calling_ae_title: [{title(n)}, {title(n + 1)}]}}, {{modality: [CT, MR]}}, "
            f"{{attribute: {{select: BodyPartExamined, in: [{REGIONS[n % 8]}, {REGIONS[n % 7]}]}}}}, "
            f"{{attribute: {{select: StudyDescription, matches: '^Study {n}'}}}}]}}"
        ),
        lambda n: (
            f"[{{set: {{InstitutionName: 'Hospital {n}', "
            'StationName: "{{ association.calling_ae_title }} {{ Modality }}"}}, {remove: [PatientComments]}]'
        ),
    ),
}
"""The eight that are also mixed."""

MIXED = "all of these, mixed"
SHAPES: dict[str, Shape] = {
    **PLAIN,
    MIXED: Shape(lambda n: list(PLAIN.values())[n % len(PLAIN)].when(n // len(PLAIN)), sections=CONDITIONS),
    "any, all and not inside each other": Shape(
        lambda n: (
            f"{{any: [{{all: [{{calling_ae_title: {title(n)}}}, {{not: {{any: [{{modality: [SR, PR]}}, "
            f"{{attribute: {{select: ImageType, contains: LOCALIZER}}}}]}}}}]}}, {{all: [{{host: 10.0.{n % 250}.7}}, "
            f"{{not: {{attribute: {{select: StudyDescription, starts_with: T{n}}}}}}}]}}]}}"
        )
    ),
    "a template of its own each": Shape(
        lambda n: f"{{calling_ae_title: [{title(n)}]}}",
        lambda n: f"""[{{set: {{StudyDescription: "{{{{ Modality }}}} room {n} {{{{ StudyDate }}}}"}}}}]""",
    ),
    "an expression of its own each": Shape(
        lambda n: (
            f"{{all: [{{calling_ae_title: [{title(n)}]}}, {{expression: 'Rows|int(0) * Rows|int(0) > {1000 * n}'}}]}}"
        )
    ),
    "five destinations, 1 000 peers": Shape(
        lambda n: f"{{calling_ae_title: [{title(n)}]}}",
        to=lambda n: "[" + ", ".join(f"peer{(n + k * 7) % 1000}" for k in range(5)) + "]",
        peers=1000,
    ),
    "in 500 files": Shape(
        lambda n: f"{{all: [{{calling_ae_title: [{title(n)}]}}, {{modality: [{MODALITIES[n % 3]}]}}]}}", files=500
    ),
    "private tags and items of sequences": Shape(
        lambda n: (
            f"{{all: [{{attribute: {{select: '(0019,[VENDOR {n % 300}],10)', as: number, at_least: {n}}}}}, "
            f"{{attribute: {{select: 'RequestAttributesSequence[*].ScheduledProcedureStepID', equals: STEP{n}}}}}]}}"
        )
    ),
    "anonymised": Shape(
        lambda n: f"{{calling_ae_title: [{title(n)}]}}",
        lambda n: (
            "[{deidentify: {profile: basic, key: research}}, "
            "{hash: {attributes: [PatientID, AccessionNumber], key: research}}, "
            f"{{hash_uid: {{key: research}}}}, {{shift_date: {{key: research, days: [-{n % 300 + 1}, -1]}}}}, "
            f"{{set: {{ClinicalTrialSiteID: 'SITE{n}'}}}}]"
        ),
        sections=KEYS,
    ),
}


def write(shape: Shape, rules: int, folder: Path) -> Path:
    """A configuration of `rules` routes under `folder`, an empty one; the file or folder to be loaded."""
    head = [
        "gateway: {ae_title: GATEWAY, listeners: [{port: 11112, address: 127.0.0.1}], admit: any}",
        "unmatched: hold",
        "peers:",
        *(f"  peer{n}: {{ae_title: P{n}, address: '127.0.0.1:{10400 + n}'}}" for n in range(shape.peers)),
        shape.sections,
        "",
    ]
    routes = [_route(shape, n) for n in range(rules)]
    if shape.files == 1:
        path = folder / "rules.yaml"
        path.write_text("\n".join([*head, "routes:", *routes]))
        return path
    (folder / "00.yaml").write_text("\n".join(head))
    for number in range(shape.files):
        (folder / f"routes-{number:04}.yaml").write_text("\n".join(["routes:", *routes[number :: shape.files]]))
    return folder


def _route(shape: Shape, n: int) -> str:
    lines = [f"  - name: rule {n}", f"    when: {shape.when(n)}", f"    to: {shape.to(n)}"]
    return "\n".join(lines if shape.then is None else [*lines, f"    then: {shape.then(n)}"])
