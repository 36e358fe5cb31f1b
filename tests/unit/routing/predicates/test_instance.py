"""Predicates on the object as a whole and on its association, by tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.dataset.dictionary import vr_of
from gateway.dataset.scan import at_once
from gateway.dimse.protocol.peer_certificate import subject_of
from gateway.model.association import AssociationFacts
from gateway.ports.kinds import Predicate
from gateway.routing.facts import ObjectFacts
from gateway.routing.language import sop_groups
from gateway.routing.language.attribute_path import parse
from gateway.routing.predicates.association import subject_parts
from gateway.routing.table import Route, RoutingTable
from tests.support.data_set_writer import ENCODINGS, EXPLICIT, Write
from tests.unit.routing.build import ASSOCIATION, MR_IMAGE, NOW, Body, predicate, table

Value = int | str


def read(
    condition: Predicate,
    values: Mapping[str, Value] | None = None,
    *,
    association: AssociationFacts = ASSOCIATION,
    sop_class_uid: str = MR_IMAGE,
    padding: int = 0,
) -> ObjectFacts:
    """What the condition says it reads, of bytes with these attributes: numbers are binary, texts are texts."""
    write = Write(ENCODINGS[EXPLICIT])
    content = b""
    for keyword, value in (values or {}).items():
        vr = (vr_of(parse(keyword).tag) or "LO").split(" or ")[0]
        if isinstance(value, int):
            content += write.number(keyword, vr, "H", value)
        else:
            content += write.element(keyword, "LO" if vr == "US" else vr, value)
    if padding:
        content += write.element("PixelData", "OW", bytes(padding - len(content) - 12))
    reading = RoutingTable("1", table().settings, (), (Route("r", condition, ()),), {}, {}, "hold")
    return at_once(
        reading.reading_facts(
            association=association,
            sop_class_uid=sop_class_uid,
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(content),
            received_at=NOW,
        )
    )


CT: dict[str, Value] = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 512,
    "Columns": 256,
    "BitsAllocated": 16,
    "BitsStored": 12,
}
CINE: dict[str, Value] = {**CT, "NumberOfFrames": "30", "PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}

PIXELS: dict[str, tuple[object, dict[str, Value], bool]] = {
    "rows": ({"rows": 512}, CT, True),
    "rows-not": ({"rows": [256, 1024]}, CT, False),
    "rows-bounds": ({"rows": {"at_least": 512, "less_than": 1024}}, CT, True),
    "rows-strict": ({"rows": {"more_than": 512}}, CT, False),
    "columns": ({"columns": {"at_most": 256}}, CT, True),
    "all-of-them": ({"rows": 512, "columns": 256, "bits_stored": 12}, CT, True),
    "one-of-them-not": ({"rows": 512, "columns": 255}, CT, False),
    "frames-absent": ({"frames": 1}, CT, True),
    "frames-absent-many": ({"frames": {"more_than": 1}}, CT, False),
    "frames": ({"frames": {"more_than": 1}}, CINE, True),
    "frames-odd": ({"frames": {"at_least": 0}}, {**CT, "NumberOfFrames": "some"}, False),
    "frames-empty": ({"frames": 1}, {**CT, "NumberOfFrames": ""}, True),
    "bits": ({"bits_allocated": [8, 16]}, CT, True),
    "samples": ({"samples": 3}, CINE, True),
    "photometric": ({"photometric": ["RGB", "YBR_FULL"]}, CINE, True),
    "photometric-not": ({"photometric": "RGB"}, CT, False),
    "photometric-absent": ({"photometric": "RGB"}, {"Rows": 5}, False),
    "no-pixels": ({"frames": 1}, {}, False),
    "rows-wrong-vr": ({"rows": 512}, {"Rows": "512"}, True),
    "rows-wrong-vr-odd": ({"rows": {"at_least": 0}}, {"Rows": "many"}, False),
    "columns-absent": ({"columns": {"at_least": 0}}, {"Rows": 512}, False),
}


@pytest.mark.parametrize(("config", "values", "expected"), PIXELS.values(), ids=PIXELS)
def test_pixels(config: object, values: dict[str, Value], expected: bool) -> None:
    condition = predicate({"pixels": config})
    assert condition(read(condition, values)) is expected


SIZES = {
    "at-least": ({"at_least": "1 kB"}, 1000, True),
    "at-least-not": ({"at_least": "1 KiB"}, 1000, False),
    "more-than": ({"more_than": "1 kB"}, 1000, False),
    "more-than-it": ({"more_than": "1 kB"}, 1002, True),
    "at-most": ({"at_most": "1000 B"}, 1000, True),
    "less-than": ({"less_than": "0.001 MB"}, 1000, False),
    "between": ({"at_least": "1 kB", "at_most": "2 kB"}, 2000, True),
}


@pytest.mark.parametrize(("config", "length", "expected"), SIZES.values(), ids=SIZES)
def test_sizes(config: object, length: int, expected: bool) -> None:
    condition = predicate({"size": config})
    facts = read(condition, padding=length)
    assert facts.length_bytes == length
    assert condition(facts) is expected


IN_GROUPS = {
    "CTImageStorage": {"images"},
    "EnhancedUSVolumeStorage": {"images"},
    "VideoEndoscopicImageStorage": {"images"},
    "UltrasoundImageStorageRetired": {"images"},
    "SegmentationStorage": {"images", "segmentations"},
    "SurfaceSegmentationStorage": {"segmentations"},
    "BasicTextSRStorage": {"reports"},
    "KeyObjectSelectionDocumentStorage": {"reports"},
    "XRayRadiationDoseSRStorage": {"reports", "dose_reports"},
    "SpectaclePrescriptionReportStorage": {"reports"},
    "WaveformAnnotationSRStorage": {"reports"},
    "TwelveLeadECGWaveformStorage": {"waveforms"},
    "BasicVoiceAudioWaveformStorage": {"waveforms"},
    "GrayscaleSoftcopyPresentationStateStorage": {"presentation_states"},
    "EncapsulatedPDFStorage": {"encapsulated"},
    "RTPlanStorage": {"radiotherapy"},
    "RTDoseStorage": {"radiotherapy", "images"},
    "RTImageStorage": {"radiotherapy", "images"},
    "RTBeamsDeliveryInstructionStorage": {"radiotherapy"},
    "SpatialRegistrationStorage": {"registrations"},
    "RawDataStorage": {"raw_data"},
    "CTDefinedProcedureProtocolStorage": {"protocols"},
    "StorageCommitmentPushModel": set(),
    "MediaStorageDirectoryStorage": set(),
    "HangingProtocolStorage": set(),
}


@pytest.mark.parametrize(("keyword", "groups"), IN_GROUPS.items(), ids=IN_GROUPS)
def test_groups_of_sop_classes(keyword: str, groups: set[str]) -> None:
    exact: Any = predicate({"sop_class": keyword})
    (uid,) = exact.any_of[0]
    facts = read(exact, sop_class_uid=uid)
    assert {name for name in sop_groups.RULES if predicate({"sop_class": name})(facts)} == groups
    assert predicate({"sop_class": ["MRImageStorage", keyword]})(facts)


def test_a_private_sop_class_is_in_no_group() -> None:
    facts = read(predicate({}), sop_class_uid="1.2.826.0.1.3680043.9.1")
    assert not predicate({"sop_class": list(sop_groups.RULES)})(facts)


CLAIMED = replace(ASSOCIATION, user_identity="", claimed_user_identity="tech")
SECURE = replace(ASSOCIATION, listener="secure", tls_subject="CN=ct1.example.org,O=Example Hospital,OU=Radiology,OU=CT")
ASSOCIATIONS: dict[str, tuple[object, AssociationFacts, bool]] = {
    "listener": ({"listener": ["port-104", "secure"]}, SECURE, True),
    "listener-case": ({"listener": "Secure"}, SECURE, False),
    "listener-unknown": ({"listener": "secure"}, ASSOCIATION, False),
    "subject-part": ({"tls_subject": {"CN": "ct1.example.org"}}, SECURE, True),
    "subject-one-of": ({"tls_subject": {"CN": ["x", "ct1.example.org"]}}, SECURE, True),
    "subject-all-parts": ({"tls_subject": {"CN": "ct1.example.org", "O": "Example Hospital"}}, SECURE, True),
    "subject-one-part-not": ({"tls_subject": {"CN": "ct1.example.org", "O": "Other"}}, SECURE, False),
    "subject-several-units": ({"tls_subject": {"OU": "CT"}}, SECURE, True),
    "subject-no-such-part": ({"tls_subject": {"L": "Here"}}, SECURE, False),
    "subject-part-of-a-value": ({"tls_subject": {"CN": "ct1"}}, SECURE, False),
    "no-certificate": ({"tls_subject": {"CN": "ct1.example.org"}}, ASSOCIATION, False),
    "user": ({"user_identity": "tech"}, ASSOCIATION, True),
    "user-list": ({"user_identity": ["a", "tech"]}, ASSOCIATION, True),
    "user-mapping": ({"user_identity": {"any_of": ["tech"]}}, ASSOCIATION, True),
    "user-other": ({"user_identity": "Tech"}, ASSOCIATION, False),
    "user-matches": ({"user_identity": {"matches": "^te"}}, ASSOCIATION, True),
    "user-exists": ({"user_identity": {"exists": True}}, ASSOCIATION, True),
    "user-claimed": ({"user_identity": "tech"}, CLAIMED, False),
    "user-claimed-exists": ({"user_identity": {"exists": True}}, CLAIMED, False),
    "user-claimed-taken": ({"user_identity": {"any_of": ["tech"], "verified": False}}, CLAIMED, True),
    "user-claimed-matches": ({"user_identity": {"matches": "^te", "verified": False}}, CLAIMED, True),
    "user-verified-taken": ({"user_identity": {"any_of": ["tech"], "verified": False}}, ASSOCIATION, True),
    "user-none": ({"user_identity": {"exists": False}}, replace(ASSOCIATION, user_identity=""), True),
    "user-none-matches": ({"user_identity": {"matches": ""}}, replace(ASSOCIATION, user_identity=""), False),
}


@pytest.mark.parametrize(("config", "association", "expected"), ASSOCIATIONS.values(), ids=ASSOCIATIONS)
def test_associations(config: object, association: AssociationFacts, expected: bool) -> None:
    condition = predicate(config)
    assert condition(read(condition, association=association)) is expected


def test_a_value_of_a_subject_does_not_pass_for_another_part() -> None:
    certificate = {"subject": ((("organizationName", "Evil,CN=ct1.example.org\\"),), (("commonName", "x"),))}
    subject = subject_of(certificate)
    assert subject_parts(subject) == {"O": ("Evil,CN=ct1.example.org\\",), "CN": ("x",)}
    condition = predicate({"tls_subject": {"CN": "ct1.example.org"}})
    assert not condition(read(condition, association=replace(ASSOCIATION, tls_subject=subject)))


TOLD: dict[str, tuple[object, dict[str, Value], str]] = {
    "pixels": ({"pixels": {"rows": 5, "frames": 1}}, CT, "Rows 512, NumberOfFrames absent, which is 1"),
    "pixels-odd": ({"pixels": {"rows": 5}}, {"Rows": "many"}, "Rows 'many', not a number"),
    "no-pixels": ({"pixels": {"rows": 5}}, {}, "Rows is absent or empty"),
    "size": ({"size": {"at_least": "1 kB"}}, {}, "the data set has 0 bytes"),
    "sop-class": ({"sop_class": "images"}, {}, f"the SOP class is {MR_IMAGE}"),
    "transfer-syntax": ({"transfer_syntax": EXPLICIT}, {}, f"the transfer syntax is {EXPLICIT}"),
    "modality": ({"modality": "CT"}, {"Modality": "MR"}, "Modality is 'MR'"),
    "calling": ({"calling_ae_title": "X"}, {}, "the calling AE title is 'MR1'"),
    "called": ({"called_ae_title": "X"}, {}, "the called AE title is 'GATEWAY'"),
    "host": ({"host": "::1"}, {}, "the requestor's address is '10.1.2.3'"),
    "listener": ({"listener": "x"}, {}, "the listener is ''"),
    "tls": ({"tls_subject": {"CN": "x"}}, {}, "there is no client certificate"),
    "user": ({"user_identity": "x"}, {}, "there is a user identity"),
}


@pytest.mark.parametrize(("config", "values", "told"), TOLD.values(), ids=TOLD)
def test_explanations(config: object, values: dict[str, Value], told: str) -> None:
    condition: Any = predicate(config)
    assert condition.compared(read(condition, values), with_values=False) == told
