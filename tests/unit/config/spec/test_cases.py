"""The language of `*.test.yaml`."""

from __future__ import annotations

from gateway.config.spec.cases import CaseSpec, CasesSpec, ExpectedSpec, SenderSpec
from tests.support.sections import built


def test_a_case() -> None:
    section, problems = built(
        CasesSpec,
        """
environment: {PORT: 104, ON: true}
tests:
  - {name: a, attributes: {Modality: CT}, expect: {destinations: [], values: {PatientID: '1'}, at: {pacs: {}}}}
""",
    )
    assert problems == []
    assert section is not None
    assert dict(section.environment) == {"PORT": "104", "ON": "true"}
    (case,) = section.tests
    assert case.association == SenderSpec()
    assert case.expect.destinations == ()
    assert case.expect.values == {"PatientID": "1"}
    assert list(case.expect.at) == ["pacs"]


def test_a_case_without_what_is_expected_goes() -> None:
    assert built(CaseSpec, "{name: a, file: x.dcm}") == (
        None,
        ["1:1: missing-setting: the setting `expect` is missing"],
    )


def test_a_name_of_a_destination_is_a_name() -> None:
    section, problems = built(ExpectedSpec, "{at: {'a b': {}, pacs: {}}}")
    assert problems == ["1:7: bad-name: `a b` is not a name: letters, digits, `_`, `-` and `.`, at most 64"]
    assert section is not None
    assert list(section.at) == ["pacs"]
