"""DICOM filters of value templates: what they give, and that nothing gets past their bounds."""

from __future__ import annotations

import pytest

from gateway.ports.errors import Refusal
from gateway.routing.language.pseudonym import hashed_uid
from gateway.routing.language.resources import FileResources
from gateway.routing.language.template import Expression, Template
from tests.support.effort import processor_time_below
from tests.unit.routing.build import facts

KEY = b"a key of the tests"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> FileResources:
    """A key and a table."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "stations.csv").write_text("CT1,North\nCT2,\n")
    return FileResources({"research": KEY}, [folder])


OBJECT = {
    "AccessionNumber": "",
    "Modality": "MR",
    "OtherPatientNames": "Doe^Jane^M^Dr^MD=X^Y",
    "PatientID": "42",
    "PatientName": "Doe^Jane",
    "StationName": "CT1",
    "StudyDate": "20200229",
    "StudyID": "Ward 12 / bed 3",
    "StudyInstanceUID": "1.2.3.4",
}
MAIN: dict[str, tuple[str, str]] = {
    "date": ("{{ '20200229' | date }}", "2020-02-29"),
    "date-form": ("{{ StudyDate | date('%d.%m.%y, day %j, 100%%') }}", "29.02.20, day 060, 100%"),
    "date-of-old-form": ("{{ '2020.02.29' | date('%Y%m%d') }}", "20200229"),
    "date-year-only": ("{{ '2020' | date('%Y') }}", "2020"),
    "date-of-a-time": ("{{ '143059.5' | date('%H:%M:%S.%f') }}", "14:30:59.500000"),
    "date-of-six-digits-is-a-time": ("{{ '143059' | date('%H') }}", "14"),
    "date-of-a-date-time": ("{{ '20200229143059+0100' | date('%Y %H:%M') }}", "2020 14:30"),
    "time-of-a-date-time": ("{{ '20200229143059' | date('%H%M') }}", "1430"),
    "date-empty": ("[{{ AccessionNumber | date }}]", "[]"),
    "add-days": ("{{ StudyDate | add_days(1) }}", "20200301"),
    "add-days-back": ("{{ StudyDate | add_days(-60) | date('%Y') }}", "2019"),
    "add-days-of-text": ("{{ StudyDate | add_days('7' | int) }}", "20200307"),
    "add-days-to-a-date-time": ("{{ '20200229120000' | add_days(1) }}", "20200301120000"),
    "add-days-empty": ("[{{ AccessionNumber | add_days(1) }}]", "[]"),
    "age-years": ("{{ '19800301' | age_at(StudyDate) }}", "039Y"),
    "age-on-the-birthday": ("{{ '19800229' | age_at(StudyDate) }}", "040Y"),
    "age-months": ("{{ '20190101' | age_at(StudyDate) }}", "013M"),
    "age-days": ("{{ '20200131' | age_at(StudyDate) }}", "029D"),
    "age-unit": ("{{ '20200131' | age_at(StudyDate, 'W') }}", "004W"),
    "age-unknown": ("[{{ AccessionNumber | age_at(StudyDate) }}]", "[]"),
    "family": ("{{ PatientName | family }}", "Doe"),
    "given": ("{{ PatientName | given }}", "Jane"),
    "middle-prefix-suffix": ("{{ 'A^B^C=X' | middle }}{{ 'A^B^C^D^E' | prefix }}{{ 'A^B^C^D^E=X' | suffix }}", "CDE"),
    "name-without-it": ("[{{ PatientName | suffix }}]", "[]"),
    "name-empty": ("[{{ AccessionNumber | given }}{{ AccessionNumber | pn_format }}]", "[]"),
    "name-format": ("{{ PatientName | pn_format }}", "Jane Doe"),
    "name-format-own": ("{{ PatientName | pn_format('{prefix} {family}, {given}') }}", "Doe, Jane"),
    "pad": ("{{ PatientID | pad(6) }}", "000042"),
    "pad-right": ("{{ PatientID | pad(6, '-', side='right') }}", "42----"),
    "pad-number": ("{{ 7 | pad(3) }}", "007"),
    "pad-longer": ("{{ StudyID | pad(3) }}", "Ward 12 / bed 3"),
    "regex": (r"{{ StudyID | regex_replace('\\D+', '') }}", "123"),
    "regex-groups": (r"{{ StudyID | regex_replace('^Ward (\\d+) / bed (\\d+)$', '\\2@\\1') }}", "3@12"),
    "regex-by-name": ("{{ StudyID | regex_replace(pattern='(?i)WARD ', replacement='') }}", "12 / bed 3"),
    "regex-removes": ("{{ StudyID | regex_replace(' .*') }}", "Ward"),
    "uid": ("{{ StudyInstanceUID | uid('research') }}", hashed_uid(KEY, "1.2.3.4")),
    "uid-well-known": ("{{ '1.2.840.10008.1.1' | uid('research') }}", "1.2.840.10008.1.1"),
    "uid-empty": ("[{{ AccessionNumber | uid('research') }}]", "[]"),
    "lookup": ("{{ StationName | lookup('stations.csv') }}", "North"),
    "lookup-default": ("{{ Modality | lookup('stations.csv', 'elsewhere') }}", "elsewhere"),
    "lookup-default-is-computed": ("{{ Modality | lookup('stations.csv', default=PatientID) }}", "42"),
    "lookup-to-nothing": ("[{{ 'CT2' | lookup('stations.csv') }}]", "[]"),
    "several": ("{{ StationName | lookup('stations.csv') | upper }}-{{ PatientID | pad(4) }}", "NORTH-0042"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MAIN.values(), ids=MAIN)
def test_filters(text: str, expected: str, given: FileResources) -> None:
    assert Template(text, given).render(facts(OBJECT)) == expected


def test_filters_in_expressions(given: FileResources) -> None:
    assert Expression("StationName | lookup('stations.csv', '') == 'North'", given).holds(facts(OBJECT))
    assert not Expression("StationName | lookup('stations.csv', '') == 'South'", given).holds(facts(OBJECT))


WRONG = {
    "unknown-key": ("{{ StudyInstanceUID | uid('reserch') }}", "did you mean `research`"),
    "no-key": ("{{ StudyInstanceUID | uid }}", "uid takes its key as quoted text"),
    "computed-key": ("{{ StudyInstanceUID | uid(PatientID) }}", "uid takes its key as quoted text"),
    "computed-key-by-name": ("{{ StudyInstanceUID | uid(key=PatientID) }}", "uid takes its key as quoted text"),
    "file-is-not-there": ("{{ StationName | lookup('gone.csv') }}", "'gone.csv': it is not there"),
    "computed-table": ("{{ StationName | lookup(PatientID) }}", "lookup takes its table as quoted text"),
    "computed-pattern": ("{{ StationName | regex_replace(PatientID, '') }}", "regex_replace takes its pattern and"),
    "computed-replacement": ("{{ StationName | regex_replace('a', PatientID) }}", "regex_replace takes its pattern"),
    "number-as-pattern": ("{{ StationName | regex_replace(5, '') }}", "regex_replace takes its pattern and"),
    "bad-pattern": ("{{ StationName | regex_replace('(', '') }}", "not a regular expression that RE2 takes"),
    "bad-replacement": (r"{{ StationName | regex_replace('a', '\\1') }}", "names group 1"),
    "misspelt": ("{{ PatientName | famly }}", "did you mean `family`"),
    "star-arguments": ("{{ PatientName | pad(*[1]) }}", "arguments are not allowed"),
    "keys-of-others": ("{{ self }}", "unknown attribute keyword `self`"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_found_before_any_object(text: str, message: str, given: FileResources) -> None:
    with pytest.raises(ValueError, match=message):
        Template(text, given)


@pytest.mark.parametrize(
    "text", ["{{ StudyInstanceUID | uid('research') }}", "{{ StationName | lookup('stations.csv') }}"]
)
def test_keys_and_tables_need_a_configuration(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be used here"):
        Template(text)


FAILING = {
    "date-is-none": ("{{ Modality | date }}", "date takes a date as YYYYMMDD"),
    "date-directive": ("{{ StudyDate | date('%A') }}", "date does not know %A"),
    "date-percent-at-the-end": ("{{ StudyDate | date('%Y%') }}", "date does not know %;"),
    "date-not-so-exact": ("{{ '2020' | date('%Y-%m') }}", "date needs %m"),
    "date-no-such-day": ("{{ '20200230' | date('%j') }}", "no such date"),
    "add-days-text": ("{{ StudyDate | add_days('1') }}", "whole number of days"),
    "add-days-far": ("{{ StudyDate | add_days(3999999) }}", "years 1 to 9999"),
    "add-days-very-far": ("{{ StudyDate | add_days(9999999999) }}", "whole number of days"),
    "add-days-to-none": ("{{ Modality | add_days(1) }}", "add_days takes a date"),
    "age-before-birth": ("{{ '20300101' | age_at(StudyDate) }}", "before the birth"),
    "age-unit": ("{{ '19800101' | age_at(StudyDate, 'X') }}", "units Y, M, W and D"),
    "age-in-days": ("{{ '19800101' | age_at(StudyDate, 'D') }}", "more than three digits"),
    "age-of-a-year": ("{{ '1980' | age_at(StudyDate) }}", "age_at takes dates|date needs"),
    "name-format": ("{{ PatientName | pn_format('{first}') }}", "pn_format knows {family}, {given}"),
    "lookup-missing": ("{{ Modality | lookup('stations.csv') }}", "not in stations.csv"),
    "pad-bomb": ("{{ PatientID | pad(1000000000) }}", "pad takes a width from 0 to 10240"),
    "pad-huge": ("{{ PatientID | pad(10 ** 1) }}", "Pow"),
    "pad-many-characters": ("{{ PatientID | pad(10, PatientName) }}", "one character"),
    "pad-negative": ("{{ PatientID | pad(-1) }}", "pad takes a width"),
    "pad-twice": ("{{ (PatientID | pad(10000)) ~ (PatientID | pad(10000)) }}", "at most 10240"),
    "name-bomb": ("{{ PatientName | pad(6000) | pn_format('{family}{family}{family}') }}", "over the limit"),
    "regex-bomb": ("{{ PatientID | pad(10000) | regex_replace('', 'xxxxxxxxxx') }}", "more than 10240 characters"),
    "regex-groups-bomb": (
        r"{{ PatientID | pad(10000) | regex_replace('(.*)', '\\1\\1\\1\\1\\1\\1\\1\\1\\1') }}", "more than 10240"
    ),
    "date-bomb": ("{{ StudyDate | date('' | pad(5000, 'x') | regex_replace('x', '%Y')) }}", "20000 characters"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAILING.values(), ids=FAILING)
def test_failures_refuse_quickly_and_quote_nothing(text: str, message: str, given: FileResources) -> None:
    with processor_time_below(2), pytest.raises((Refusal, ValueError), match=message) as refusal:
        Template(text, given).render(facts(OBJECT))
    assert not any(value in str(refusal.value).replace(text, "") for value in ("Doe", "Jane", "20200229"))


def test_a_catastrophic_expression_is_linear() -> None:
    template = Template("{{ StudyID | regex_replace('^(a+)+$', 'x') }}")
    long = facts({"StudyID": "a" * 10_000 + "!"})
    with processor_time_below(2):
        assert template.render(long) == "a" * 10_000 + "!"


def test_keys_are_not_shown(given: FileResources) -> None:
    template = Template("{{ StudyInstanceUID | uid('research') }}", given)
    assert "a key" not in repr(template)
