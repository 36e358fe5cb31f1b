"""Value templates: what they give, what they refuse, and that nothing makes them run long or grow large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import PayloadLost, PayloadMissing, PayloadUnreadable, Refusal, Temporary, Unreadable
from gateway.routing.language.template import SHALLOW, Expression, Template
from gateway.routing.language.template_sandbox import ENVIRONMENT, MAX_RESULT_CHARACTERS
from tests.support.effort import processor_time_below
from tests.unit.routing.build import ASSOCIATION, facts

OBJECT = {
    "ImageType": "DERIVED\\SECONDARY",
    "AccessionNumber": "",
    "Modality": "MR",
    "PatientName": "Doe^Jane",
    "PatientID": "0042",
    "Rows": "\x00\x02",
}

VALUES = {
    "plain": ("North", "North"),
    "plain-with-braces": ("{North} 50%", "{North} 50%"),
    "attribute": ("{{ PatientID }}", "0042"),
    "around": ("N-{{ PatientID }}-{{Modality}}.", "N-0042-MR."),
    "association": ("{{ association.calling_ae_title }}@{{ association.remote_host }}", "MR1@10.1.2.3"),
    "absent-is-empty": ("[{{ StudyID }}]", "[]"),
    "empty": ("[{{ AccessionNumber }}]", "[]"),
    "several": ("{{ ImageType }}", "DERIVED\\SECONDARY"),
    "binary": ("{{ Rows }}", "512"),
    "default": ("{{ StudyID or 'none' }}", "none"),
    "filter": ("{{ PatientName | upper | replace('^', ' ') }}", "DOE JANE"),
    "method": ("{{ PatientName.split('^')[0] }}", "Doe"),
    "slice": ("{{ PatientID[:2] }}", "00"),
    "condition": ("{% if Modality == 'MR' %}magnet{% else %}other{% endif %}", "magnet"),
    "inline-condition": ("{{ 'a' if Modality in ['CT', 'MR'] else 'b' }}", "a"),
    "test": ("{{ 'yes' if Rows | int is divisibleby 2 else 'no' }}", "yes"),
    "arithmetic": ("{{ Rows | int * 2 + 1 }}", "1025"),
    "rounded": ("{{ 2.345 | round(1) }} {{ 2.345 | round(1, 'ceil') }} {{ 1234 | round(-2) }}", "2.3 2.4 1200"),
    "concatenation": ("{{ PatientID ~ '-' ~ Modality }}", "0042-MR"),
    "joined": ("{{ ImageType.split('\\\\') | join('/') }}", "DERIVED/SECONDARY"),
    "comment": ("a{# no #}b", "ab"),
    "markup-stays": ("{{ '<b>' }}&", "<b>&"),
    "line-end-stays": ("{{ Modality }}\n", "MR\n"),
}


@pytest.mark.parametrize(("text", "expected"), VALUES.values(), ids=VALUES)
def test_values(text: str, expected: str) -> None:
    template = Template(text)
    keywords = {name: OBJECT.get(name, "") for name, _path in template.attributes}
    assert template.render(facts({name: OBJECT[name] for name in OBJECT if name in keywords})) == expected


WRONG = {
    "unknown-attribute": ("{{ PatientNme }}", "did you mean `PatientName`"),
    "unknown-field": ("{{ association.calling_ae }}", "did you mean `calling_ae_title`"),
    "association-alone": ("{{ association }}", "needs a field"),
    "association-item": ("{{ association['x'] }}", "needs a field"),
    "every-unknown-name": ("{{ Foo }}{{ Bar }}", "`Foo`.*`Bar`"),
    "sequence": ("{{ ReferencedImageSequence }}", "is a sequence"),
    "syntax": ("{{ PatientID", "not a template"),
    "loop": ("{% for x in PatientID %}{{ x }}{% endfor %}", "For is not allowed"),
    "assignment": ("{% set x = 1 %}", "Assign is not allowed"),
    "macro": ("{% macro x() %}{% endmacro %}", "Macro is not allowed"),
    "include": ("{% include 'etc' %}", "Include is not allowed"),
    "import": ("{% import 'os' as os %}", "Import is not allowed"),
    "power": ("{{ 9 ** 9 }}", "Pow is not allowed"),
    "range": ("{{ range(9) }}", "'range' cannot be called"),
    "unknown-filter": ("{{ PatientID | uper }}", "did you mean `upper`"),
    "width-filter": ("{{ '%9d' | format(1) }}", "unknown filter `format`"),
    "unknown-test": ("{{ PatientID is odder }}", "unknown test `odder`"),
    "inside": ("{{ PatientID.__class__.__mro__ }}", "unknown member `__mro__`"),
    "format-method": ("{{ '{0.__class__}'.format(PatientID) }}", "method 'format' is not allowed"),
    "padding-method": ("{{ PatientID.ljust(999999999) }}", "method 'ljust' is not allowed"),
    "method-without-call": ("{{ PatientID.upper }}", r"can only be called, as \.upper\(\)"),
    "arguments-star": ("{{ PatientID.replace(*[1]) }}", "arguments are not allowed"),
    "too-long": ("{{ 1 }}" + "x" * 10_240, "at most 10240"),
    "too-deep": ("{{ " + "(" * 200 + "1" + ")" * 200 + "~ 1" * 200 + "}}", "deep"),
    "dictionary": ("{{ {'a': 1} }}", "Dict is not allowed"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_found_before_any_object(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Template(text)


FAILING = {
    "text-times-number": ("{{ 'a' * 1000000000 }}", "'*' takes numbers only"),
    "list-times-number": ("{{ ([1] * 1000000000) | length }}", "'*' takes numbers only"),
    "format-operator": ("{{ '%1000000000d' % 1 }}", "'%' takes numbers only"),
    "replace-bomb": ("{{ PatientID | replace('', 'x' ~ PatientName) | replace('', PatientID) }}", "limit|characters"),
    "replace-method-bomb": ("{{ PatientID.replace('', PatientID).replace('', PatientID) }}", "limit|characters"),
    "join-bomb": ("{{ PatientID | join(PatientID) }}", "limit|characters"),
    "sum-bomb": ("{{ PatientID + PatientID + PatientID }}", "at most 10240"),
    "result-too-long": ("{{ PatientID ~ PatientID ~ PatientID }}", "at most 10240"),
    "round-bomb-up": ("{{ 1.5 | round(1000000000, 'ceil') }}", "round takes a precision from -15 to 15"),
    "round-bomb-down": ("{{ 1 | round(-1000000000) }}", "round takes a precision from -15 to 15"),
    "round-bomb-of-the-object": ("{{ 1 | round(StudyID | int) }}", "round takes a precision from -15 to 15"),
    "no-such-item": ("{{ Modality.split('^')[7] }}", "asks a text or a list for what is not in it"),
    "division": ("{{ 1 // (Modality | length - 2) }}", "ZeroDivisionError"),
    "types": ("{{ Modality + 1 }}", "TypeError; attributes are text"),
}


@pytest.mark.parametrize(("text", "message"), FAILING.values(), ids=FAILING)
def test_failures_on_an_object_refuse_it_quickly(text: str, message: str) -> None:
    long = facts({"Modality": "MR", "PatientName": "n" * 9000, "PatientID": "5" * 9000, "StudyID": "-1000000000"})
    template = Template(text)
    with processor_time_below(2), pytest.raises(Refusal, match=message):
        template.render(long)


def test_values_over_the_limit_refuse() -> None:
    with pytest.raises(Refusal, match=f"at most {MAX_RESULT_CHARACTERS}"):
        Template("{{ PatientID }}").render(facts({"PatientID": "x" * 20000}))


class OfAnUnreadableObject:
    """Facts that raise when they are asked for."""

    association: AssociationFacts = ASSOCIATION

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> object:
        raise self.error

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        raise self.error

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        raise self.error


READING = [
    (Temporary("too many open files"), Temporary),
    (PayloadUnreadable("the disk gave an error"), PayloadUnreadable),
    (PayloadMissing("the file is not there"), PayloadMissing),
    (PayloadLost("the bytes are changed"), PayloadLost),
    (MemoryError(), Temporary),
    (Unreadable("no data set"), Refusal),
    (ValueError("a fault of ours"), Refusal),
]
"""What reading the values raises; what is raised then. Only what lies in the object itself refuses it."""


@pytest.mark.parametrize(("error", "expected"), READING, ids=lambda it: type(it).__name__ if it else "")
def test_values_that_cannot_be_read_now_are_not_held_against_the_object(
    error: Exception, expected: type[Exception]
) -> None:
    unreadable = OfAnUnreadableObject(error)
    with pytest.raises(expected) as of_template:
        Template("{{ PatientID }}").render(unreadable)  # type: ignore[arg-type]
    with pytest.raises(expected) as of_expression:
        Expression("PatientID == '1'").holds(unreadable)  # type: ignore[arg-type]
    for raised in (of_template.value, of_expression.value):
        assert isinstance(raised, Refusal) is (expected is Refusal)


QUOTING = {
    "type": "{{ PatientName | int + [PatientName] }}",
    "item": "{{ Modality[PatientName] }}",
    "item-of-a-list": "{{ Modality.split('^')[PatientName] }}",
    "number-of-an-item": "{{ Modality.split('^')[PatientID | int] }}",
}


@pytest.mark.parametrize("text", QUOTING.values(), ids=QUOTING)
def test_errors_do_not_quote_the_object(text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Template(text).render(facts({"Modality": "MR", "PatientName": "Secret^Name", "PatientID": "4711"}))
    assert "Secret" not in str(refusal.value)
    assert "4711" not in str(refusal.value)


def test_attributes_are_derived() -> None:
    template = Template("{% if Modality %}{{ PatientID }}{% endif %}{{ PatientID.strip(StudyID) }}")
    assert [name for name, _path in template.attributes] == ["Modality", "PatientID", "StudyID"]


@pytest.mark.parametrize("kind", [Template, Expression])
def test_what_no_object_meets_is_checked_but_not_compiled(kind: type[Template] | type[Expression]) -> None:
    text = "PatientID ~ ' is compiled by the first object'"
    with counted_compilations() as compiled:
        made = kind(f"{{{{ {text} }}}}" if kind is Template else text)
        again = kind(made.text)
        assert compiled == []

        for one in (made, made, again):
            one.render(facts({})) if isinstance(one, Template) else one.holds(facts({}))

    assert len(compiled) == 1, "equal texts share what was compiled"


@pytest.mark.parametrize(("depth", "at_once"), [(SHALLOW - 3, 0), (SHALLOW + 1, 1)])
def test_what_is_deep_is_compiled_when_it_is_read(depth: int, at_once: int) -> None:
    """Python's parser has limits: no object should be the first to find them."""
    with counted_compilations() as compiled:
        Template(f"{{{{ {'not ' * depth}PatientID }}}} depth {depth}")

    assert len(compiled) == at_once


NESTED = {
    "calls": ("PatientID", ".replace('a', PatientID", ")"),
    "conditions": ("PatientID", " if Rows else (PatientID", ")"),
    "joined": ("'x'", " ~ ('x'", ")"),
    "filters": ("PatientID", " | default(PatientID", ")"),
    "items": ("PatientID", "[PatientID", "]"),
}


@pytest.mark.campaign
@pytest.mark.parametrize(("inmost", "opened", "closed"), NESTED.values(), ids=NESTED)
def test_the_deepest_template_that_is_allowed_can_be_compiled(inmost: str, opened: str, closed: str) -> None:
    taken = [_is_compiled(f"{{{{ {inmost}{opened * depth}{closed * depth} }}}}") for depth in range(1, 70)]

    assert 10 < sum(taken) < 69
    assert taken == sorted(taken, reverse=True)


def _is_compiled(text: str) -> bool:
    """False when it is nested too deeply; any other trouble is raised."""
    try:
        made = Template(text)
    except ValueError as error:
        if "nested too deeply" in str(error):
            return False
        raise
    assert made._code is not None
    made._code.template()  # `render` would say that the object is to blame
    return True


@contextmanager
def counted_compilations() -> Iterator[list[object]]:
    """What was compiled meanwhile."""
    compiled: list[object] = []
    true_one = ENVIRONMENT.from_string

    def counted(source: object) -> object:
        compiled.append(source)
        return true_one(source)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ENVIRONMENT, "from_string", counted)
        yield compiled
