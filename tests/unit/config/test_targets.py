"""Templates under `to`: what they can come to is checked when the rules are loaded, as far as it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rules_of_site import loaded, messages

ROUTE = 'routes: [{name: all, to: ["%s"]}]\n'
BY_TABLE = ROUTE % "{{ association.called_ae_title | lookup('called.csv', 'pacs') }}"


def test_a_template_sends_to_every_name_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "called.csv").write_text("IN_A, pacs\nIN_B, both\n")
    found = loaded(tmp_path, BY_TABLE + "groups: {both: {failover: [pacs]}}\n")
    assert messages(found) == []
    assert found.table is not None
    (route,) = found.table.routes
    assert (route.to, route.dispatches) == ((), ())
    assert found.table.is_choosing
    assert list(route.targets.recipients.places("both")) == [("pacs", "both")]
    (target,) = route.targets.templates
    assert target.mark is not None
    assert target.mark.line > 1


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        (
            "IN_B, Doe^Jane",
            "unknown-destination",
            "the value in `called.csv`, line 3, is the name of no peer and no group",
        ),
        ("IN_B, ct", "not-a-destination", "the value in `called.csv`, line 3, only calls us"),
        ("IN_B, old", "disabled-destination", "the value in `called.csv`, line 3, is disabled"),
        ('IN_B, ""', "unknown-destination", "the value in `called.csv`, line 3, is the name of no peer and no group"),
    ],
)
def test_the_values_of_a_table_are_names(tmp_path: Path, row: str, code: str, said: str) -> None:
    (tmp_path / "called.csv").write_text(f"# called, destination\nIN_A, pacs\n{row}\n")
    found = loaded(tmp_path, BY_TABLE)
    ((line, told, message),) = messages(found)
    assert (line, told) == (1, code)
    assert message.startswith(said)
    assert "Doe" not in message
    assert (found.table is None) is (code != "disabled-destination")


@pytest.mark.parametrize(
    ("template", "code", "said"),
    [
        ("{{ 'pacz' if Modality == 'CT' else 'pacs' }}", "unknown-destination", "no peer and no group is named `pacz`"),
        ("{{ '' }}", "unknown-destination", "the template gives an empty text"),
        ("{{ Modalitie }}", "bad-template", ""),
        ("{{ Modality | lookup('none.csv') }}", "bad-template", ""),
    ],
)
def test_what_a_template_says_itself_is_checked(tmp_path: Path, template: str, code: str, said: str) -> None:
    found = loaded(tmp_path, ROUTE % template)
    ((_, told, message),) = messages(found)
    assert told == code
    assert message.startswith(said)


def test_of_many_wrong_values_some_are_told(tmp_path: Path) -> None:
    (tmp_path / "called.csv").write_text("".join(f"IN_{index}, x{index}\n" for index in range(9)))
    told = messages(loaded(tmp_path, BY_TABLE))
    assert len(told) == 6
    assert told[-1][2] == "and 4 more that are no destination"


def test_templates_are_not_for_what_is_retrieved(tmp_path: Path) -> None:
    rules = 'query_retrieve: {sources: [pacs], coercions: [{to: ["{{ Modality }}"], then: [{remove: PatientID}]}]}\n'
    assert "unknown-destination" in {code for _, code, _ in messages(loaded(tmp_path, rules))}
