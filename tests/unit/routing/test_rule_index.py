"""The index of rules decides as asking every rule in its order does."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataset.scan import at_once
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate
from gateway.routing.facts import ObjectFacts
from gateway.routing.index_keys import (
    LONGEST_TEXT,
    Keys,
    NumberKeys,
    Starts,
    ValueKeys,
    ValueParts,
    calling_ae_title,
    finding,
    part_of,
    start_of,
)
from gateway.routing.language.kind_tree import children
from gateway.routing.language.kinds import build_predicate
from gateway.routing.language.named_condition import NamedCondition
from gateway.routing.language.pattern import Regex
from gateway.routing.language.resources import FileResources
from gateway.routing.predicates.combining import AllConditions
from gateway.routing.rule_index import FEWEST_RULES, RuleIndex
from gateway.routing.table import MOST_LOOKUPS, RoutingPlan, RoutingTable
from tests.support.data_set_writer import EXPLICIT
from tests.unit.routing.build import NOW, Body, coercion, encoded, fail, predicate, route, table

TITLES = ("CT1", "CT2", "MR1", "WS1", "")
HOSTS = ("10.1.2.3", "10.1.9.9", "192.168.0.7", "::ffff:10.1.2.3", "fd00::1", "fd00::1%eth0", "not an address", "")
NETWORKS = ("10.1.2.3", "10.1.2.0/24", "10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/0", "192.168.0.7/32")
TEXTS = ("CT", "MR", "CT1", "HEAD", "HEAD NECK", "NECK", "", "A", "12", "12.0", "CHEST")
KEYWORDS = ("BodyPartExamined", "ImageType", "Modality", "PatientID", "SeriesDescription", "StationName")
"""In the order of their tags they are sorted below; all are written as texts."""
TAGS = {"ImageType": 0, "Modality": 1, "StationName": 2, "SeriesDescription": 3, "PatientID": 4, "BodyPartExamined": 5}
CLASSES = {
    "CTImageStorage": "1.2.840.10008.5.1.4.1.1.2",
    "MRImageStorage": "1.2.840.10008.5.1.4.1.1.4",
    "EncapsulatedPDFStorage": "1.2.840.10008.5.1.4.1.1.104.1",
}


class Choice(random.Random):
    """Random configurations and objects, the same for the same seed."""

    def some(self, words: Iterable[str]) -> list[str]:
        words = list(words)
        return self.sample(words, self.randint(1, min(3, len(words))))

    def when(self, depth: int = 0) -> dict[str, Any]:
        """A condition."""
        kinds = [self.association, self.object, self.attribute, self.attribute]
        if depth < 3:
            kinds += [self.combined, self.combined]
        made: dict[str, Any] = self.choice(kinds)(depth)
        return made

    def combined(self, depth: int) -> dict[str, Any]:
        inner = [self.when(depth + 1) for _ in range(self.randint(0 if depth else 1, 3))]
        return self.choice(
            [{"all": inner}, {"all": inner}, {"any": inner or [self.when(depth + 1)]}, {"not": self.when(depth + 1)},
             {"condition": f"named{self.randint(0, 5)}"}]
        )  # fmt: skip

    def association(self, depth: int) -> dict[str, Any]:
        return self.choice(
            [
                {"calling_ae_title": self.some(TITLES[:4])},
                {"called_ae_title": self.some(["GATEWAY", "RESEARCH"])},
                {"host": self.some(NETWORKS)},
                {"listener": self.some(["port-1", "port-2"])},
                {"tls_subject": {"CN": self.some(["a", "b"]), "O": self.some(["x", "y"])}},
                {"user_identity": {"any_of": self.some(["tech", "doc"]), "verified": self.choice([True, False])}},
                {"user_identity": {"exists": self.choice([True, False])}},
                {"user_identity": {"matches": "^t"}},
            ]
        )

    def object(self, depth: int) -> dict[str, Any]:
        return self.choice(
            [
                {"modality": self.some(TEXTS[:6])},
                {"sop_class": self.some([*CLASSES, "images"])},
                {"transfer_syntax": self.some(["ExplicitVRLittleEndian", "JPEGBaseline8Bit"])},
                {"size": {"more_than": self.choice(["0 B", "60 B", "1 MB"])}},
                {"time": {"days": self.choice(["sat", "mon-fri"])}},
                {"sample": {"percent": self.choice([0, 50, 100]), "by": "PatientID"}},
                {"expression": self.choice(["Modality == 'CT'", "PatientID|int(0) > 5", "Modality > 3"])},
            ]
        )

    def attribute(self, depth: int) -> dict[str, Any]:
        way: dict[str, Any] = self.choice(
            [
                {"equals": self.choice([*TEXTS, "CT\\MR", "A\\CT\\"])},
                {"in": self.some(TEXTS)},
                {"starts_with": self.some(TEXTS[:6])},
                {
                    "matches": self.choice(
                        [
                            *("^CT", "^CT?", "^HEAD N*", "^(A|CT)", "CT", "^A|MR", "(?i)^ct", "^$", "^12", "^"),
                            *(
                                "EAD",
                                "(?i)head",
                                "(?i)nec?k$",
                                "D.N",
                                "T1*",
                                "H?EAD+",
                                "HEAD.*NECK",
                                r"\d",
                                "[AC]T",
                                "",
                            ),
                        ]
                    )
                },
                {"contains": self.some(TEXTS[:6])},
                {"exists": self.choice([True, False])},
                {"absent": True},
                {"at_most": "12", "as": "number"},
                {"equals": self.choice(["12.0", "12", "+12", "A", ""]), "as": "number"},
                {"in": self.some(["12.0", "012", "A", "1e1"]), "as": "number"},
            ]
        )
        if way.keys() & {"equals", "in", "starts_with", "matches"}:
            way |= self.choice(
                [{}, {}, {"values": "every"}, {"count": self.choice(["0", "1", "0-1"])}, {"ignore_case": True}]
            )
        return {"attribute": {"select": self.choice(KEYWORDS), **way}}

    def then(self) -> list[Any]:
        """The actions of a rule, mostly none."""
        if self.random() < 0.9:
            return []
        return self.choice([[{"set": {"StationName": "CT1"}}], ["hold"], ["drop"], ["reject"]])

    def coercing(self) -> list[Any]:
        """Changes that those after them see."""
        keyword = self.choice([one for one in KEYWORDS if one != "ImageType"])  # which takes several values
        if self.random() < 0.1:
            return self.choice([["reject"], *[[{"set": {keyword: "A"}}, "hold"]] * 9])
        return self.choice(
            [
                [{"set": {keyword: self.choice(TEXTS[:9])}}],
                [{"set": {keyword: "{{ association.calling_ae_title }}"}}],
                [{"remove": [keyword]}],
                [{"empty": [keyword]}],
            ]
        )

    def facts(self, of: RoutingTable) -> ObjectFacts:
        """An object that may be anything."""
        values = {keyword: "\\".join(self.choices(TEXTS, k=self.choice([0, 1, 1, 1, 2, 3]))) for keyword in KEYWORDS}
        there = {keyword: values[keyword] for keyword in sorted(values, key=TAGS.__getitem__) if self.random() < 0.8}
        return at_once(
            of.reading_facts(
                association=AssociationFacts(
                    calling_ae_title=self.choice(TITLES),
                    called_ae_title=self.choice(["GATEWAY", "RESEARCH", "OTHER"]),
                    remote_host=self.choice(HOSTS),
                    listener=self.choice(["port-1", "port-2", ""]),
                    tls_subject=self.choice(["", "CN=a,O=x", "CN=b,O=x", "CN=c"]),
                    user_identity=self.choice(["", "tech", "doc"]),
                    claimed_user_identity=self.choice(["", "tech"]),
                ),
                sop_class_uid=self.choice(list(CLASSES.values())),
                sop_instance_uid="1.2.3",
                transfer_syntax_uid=EXPLICIT,
                body=Body(encoded(there)),
                received_at=NOW,
                is_to_explain=True,
            )
        )


def with_names(choice: Choice, count: int) -> list[Predicate]:
    """`count` conditions, of which some name others."""
    named: dict[str, Predicate] = {}
    resources = FileResources(conditions=lambda name: named[name])
    for number in range(6):
        config = {"any": [choice.attribute(0), choice.association(0)]} if number % 2 else choice.attribute(0)
        built = build_predicate(config, fail, resources)
        assert built is not None
        named[f"named{number}"] = built
    found = [build_predicate(choice.when(), fail, resources) for _ in range(count)]
    assert None not in found
    return [one for one in found if one is not None]


def random_table(choice: Choice) -> RoutingTable:
    conditions = with_names(choice, 2 * FEWEST_RULES + 8)
    routes = []
    for number, when in enumerate(conditions[: FEWEST_RULES + 8]):
        made = route(
            f"rule {number}", {}, choice.choice(["a", "b", "c"]), then=choice.then(), stop=choice.random() < 0.1
        )
        routes.append(replace(made, when=when))
    coercions = [
        replace(coercion(f"coercion {number}", {}, choice.coercing()), when=when)
        for number, when in enumerate(conditions[FEWEST_RULES + 8 :])
    ]
    return table(*routes, coercions=tuple(coercions))


def one_by_one(indexed: RoutingTable) -> RoutingTable:
    """The same table without its indexes."""
    plain = replace(indexed)
    for name in ("_route_index", "_coercion_index"):
        assert getattr(indexed, name) is not None
        object.__setattr__(plain, name, None)
    return plain


def decided(plan: RoutingPlan) -> tuple[Any, ...]:
    values = {keyword: plan.facts.values(predicate_path(keyword)) for keyword in KEYWORDS}
    return plan.dispatches, plan.edits, plan.is_unmatched, plan.decision, values


def predicate_path(keyword: str) -> AttributePath:
    (path,) = predicate({"attribute": {"select": keyword, "exists": True}}).attributes()
    return path


@pytest.mark.parametrize("seed", range(60))
def test_many_rules_decide_as_one_by_one(seed: int) -> None:
    """60 tables with 50 objects each: 3 000 decisions of 40 coercions and 40 rules."""
    choice = Choice(seed)
    indexed = random_table(choice)
    plain = one_by_one(indexed)
    index = RuleIndex([one.when for one in indexed.routes])
    for _ in range(50):
        facts = choice.facts(indexed)
        assert list(index.holding(facts)) == [n for n, one in enumerate(indexed.routes) if one.when(facts)]
        assert decided(indexed.plan(facts)) == decided(plain.plan(facts))


@pytest.mark.parametrize("seed", range(100, 110))
def test_an_explanation_agrees_with_the_plan(seed: int) -> None:
    choice = Choice(seed)
    indexed = random_table(choice)
    for _ in range(10):
        facts = choice.facts(indexed)
        explained, plan = indexed.explain(facts), indexed.plan(facts)
        assert (explained.dispatches, explained.edits, explained.decision) == (
            plan.dispatches,
            plan.edits,
            plan.decision,
        )
        applied = {one.name for one in explained.routes if one.is_applied}
        assert {dispatch.rule for dispatch in plan.dispatches} <= applied | {"unmatched"}
        is_ended = plan.decision is not None and plan.decision.is_final
        assert plan.is_unmatched is (not applied and not is_ended)


@dataclass(frozen=True, slots=True)
class Counting:
    """Holds, and counts how often it was asked."""

    name: str
    asked: list[str] = field(compare=False, hash=False)
    answer: bool = True

    def __call__(self, facts: Facts) -> bool:
        self.asked.append(self.name)
        return self.answer

    def attributes(self) -> Iterable[AttributePath]:
        return ()


def combined(kind: str, *inner: Predicate) -> Predicate:
    shape = type(predicate({kind: [{"modality": ["CT"]}]}))
    return shape(inner)  # type: ignore[call-arg]


def any_facts() -> ObjectFacts:
    return Choice(0).facts(table(route("one", {}, "a")))


def test_what_rules_share_is_asked_once() -> None:
    asked: list[str] = []
    whens = [combined("all", Counting("shared", asked), Counting(f"own {n}", asked)) for n in range(20)]
    assert list(RuleIndex(whens).holding(any_facts())) == list(range(20))
    assert asked.count("shared") == 1
    assert len(asked) == 21


def test_rules_whose_shared_predicate_does_not_hold_are_not_asked() -> None:
    asked: list[str] = []
    whens = [combined("all", Counting("shared", asked, False), Counting(f"own {n}", asked)) for n in range(5000)]
    assert list(RuleIndex(whens).holding(any_facts())) == []
    assert asked == ["shared"]


@pytest.mark.campaign
@pytest.mark.parametrize(
    "rare",
    [
        lambda n: {"calling_ae_title": [f"S{n}"]},
        lambda n: {"host": f"10.{n // 200}.{n % 200}.0/24"},
        lambda n: {"attribute": {"select": "StationName", "equals": f"S{n}"}},
        lambda n: {"attribute": {"select": "StationName", "starts_with": [f"S{n}-"]}},
        lambda n: {"attribute": {"select": "StationName", "matches": f"^S{n}$"}},
        lambda n: {"any": [{"calling_ae_title": [f"S{n}"]}, {"attribute": {"select": "StationName", "in": [f"S{n}"]}}]},
    ],
)
def test_of_thousands_of_rules_few_are_asked(rare: Any) -> None:
    """Counted, not timed: the rules that are asked of an object."""
    asked: list[str] = []
    whens = [combined("all", predicate(rare(n)), predicate({"modality": ["CT", "MR"]}), Counting(f"{n}", asked))
             for n in range(5000)]  # fmt: skip
    attributes = {"Modality": "CT", "StationName": "S17"}
    facts = at_once(
        table(route("one", {"all": [rare(1), {"modality": ["CT"]}]}, "a")).reading_facts(
            association=AssociationFacts("S17", "GATEWAY", "10.0.17.5"),
            sop_class_uid=CLASSES["CTImageStorage"],
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(encoded(attributes)),
            received_at=NOW,
        )
    )
    list(RuleIndex(whens).holding(facts))
    assert set(asked) <= {"17"}


def test_stop_ends_the_asking() -> None:
    asked: list[str] = []
    routes = [replace(route(f"{n}", {}, "a", stop=n == 3), when=Counting(f"{n}", asked)) for n in range(FEWEST_RULES)]
    table(*routes).plan(any_facts())
    assert asked == ["0", "1", "2", "3"]


def test_coercions_beyond_the_lookups_are_done_too() -> None:
    many = 3 * MOST_LOOKUPS + FEWEST_RULES
    coercions = [coercion(f"c{n}", {}, [{"set": {"PatientID": f"{n}"}}]) for n in range(many)]
    indexed = table(route("one", {}, "a"), coercions=tuple(coercions))
    plan = indexed.plan(Choice(1).facts(indexed))
    assert len(plan.edits) == many
    assert plan.facts.values(predicate_path("PatientID")) == (str(many - 1),)


def test_a_coercion_sees_what_those_before_it_did() -> None:
    chain = [
        coercion(
            f"c{n}", {"attribute": {"select": "PatientID", "equals": f"P{n}"}}, [{"set": {"PatientID": f"P{n + 1}"}}]
        )
        for n in range(FEWEST_RULES)
    ]
    indexed = table(route("one", {}, "a"), coercions=tuple(chain))
    facts = at_once(
        indexed.reading_facts(
            association=AssociationFacts("A", "B", ""),
            sop_class_uid=CLASSES["CTImageStorage"],
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(encoded({"PatientID": "P0"})),
            received_at=NOW,
        )
    )
    assert indexed.plan(facts).facts.values(predicate_path("PatientID")) == (f"P{FEWEST_RULES}",)


def test_few_rules_have_no_index() -> None:
    few = table(*[route(f"{n}", {"modality": ["CT"]}, "a") for n in range(FEWEST_RULES - 1)])
    assert few._route_index is None
    assert few._coercion_index is None


def test_a_large_condition_that_thousands_name_is_filed_once() -> None:
    """Names stand for conditions of any size: what is filed must not be their product."""
    large = predicate({"any": [{"attribute": {"select": "PatientID", "equals": f"P{n}"}} for n in range(5000)]})
    shape = type(build_predicate({"condition": "x"}, fail, FileResources(conditions=lambda name: large)))
    whens = [shape(NamedCondition("x", large)) for _ in range(5000)]  # type: ignore[misc, call-arg]
    tracemalloc.start()
    try:
        index = RuleIndex(whens)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024**2
    finally:
        tracemalloc.stop()
    assert list(index.holding(any_facts())) == []


SAFE = st.text(st.sampled_from("ABab01 _/-^$.*+?{}()[]|\\12"), max_size=8)


@given(SAFE, st.text(st.sampled_from("ABab01 _/-"), max_size=6))
def test_whatever_an_expression_is_found_in_begins_with_its_start(pattern: str, text: str) -> None:
    try:
        regex = Regex(f"^{pattern}")
    except ValueError:
        return
    if regex.search(text):
        assert text.startswith(start_of(f"^{pattern}"))


@given(st.sampled_from(["", "(?i)"]), SAFE, st.text(st.sampled_from("ABabKkSs\u212a\u017f01 _/-"), max_size=6))
def test_whatever_an_expression_is_found_in_contains_its_part(flags: str, pattern: str, text: str) -> None:
    pattern = (flags + pattern).replace("A", "K").replace("b", "s")
    try:
        regex = Regex(pattern)
    except ValueError:
        return
    if regex.search(text):
        part, is_folded = part_of(pattern)
        assert part in (text.casefold() if is_folded else text)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("routine 4", ("routine 4", False)), ("(?i)Doctor", ("doctor", True)), ("^CT1?", ("CT", False)),
        ("a*b", ("b", False)), ("HEAD.*NECKS*$", ("HEAD", False)), ("CT+", ("CT", False)), ("x?", ("", False)),
        ("CT|MR", ("", False)), ("(CT)?", ("", False)), ("[CT]A", ("", False)), ("CT{0}", ("", False)),
        (r"\bCT", ("", False)), ("(?s)CT", ("", False)), ("", ("", False)), ("M\u00dcLLER", ("LLER", False)),
    ],
)  # fmt: skip
def test_the_part_of_an_expression(pattern: str, part: tuple[str, bool]) -> None:
    assert part_of(pattern) == part


def test_a_long_text_is_not_searched_for_parts() -> None:
    path, facts = predicate_path("SeriesDescription"), any_facts()
    find = finding(ValueParts(path), {"y": (1,), "x": (2,)})
    facts.level.put(path.tag, ("x" * LONGEST_TEXT,))
    assert find(facts) == [(2,)]
    facts.level.put(path.tag, ("x" * (LONGEST_TEXT + 1),))
    assert find(facts) == [(1,), (2,)]


@pytest.mark.parametrize("texts", [None, (), ("",), ("AB",), ("aB", "12"), ("12.0",), ("A", "x")])
def test_what_a_look_gives_is_what_it_finds(texts: tuple[str, ...] | None) -> None:
    path, facts = predicate_path("SeriesDescription"), any_facts()
    facts.level.put(path.tag, texts)
    for look in (ValueParts(path), ValueParts(path, is_folded=True), NumberKeys(path), ValueKeys(path), Starts(path)):
        keys = ["A", "AB", "aB", "ab", "b", "12", "1", "x", "zz", *([12] if isinstance(look, NumberKeys) else [])]
        filed = {key: (number,) for number, key in enumerate(keys)}
        assert set(finding(look, filed)(facts)) == {filed[key] for key in look(facts) if key in filed}


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("^CT1", "CT1"), ("^CT1?", "CT"), ("^CT1*", "CT"), ("^CT1+", "CT1"), ("^CT1{0,2}", "CT"), ("^CT[12]", "CT"),
        ("^CT|MR", ""), ("CT", ""), ("^", ""), ("(?i)^CT", ""), ("^ROOM 4/B.*$", "ROOM 4/B"),
    ],
)  # fmt: skip
def test_the_start_of_an_expression(pattern: str, start: str) -> None:
    assert start_of(pattern) == start


def test_all_predicates_inside_are_found() -> None:
    made = predicate({"all": [{"not": {"modality": ["CT"]}}, {"any": [{"modality": ["MR"]}]}]})

    def walk(one: Predicate) -> Iterator[str]:
        yield type(one).__name__
        for _path, inner in children(one):
            yield from walk(inner)

    assert list(walk(made)) == ["AllConditions", "NotCondition", "Modality", "AnyCondition", "Modality"]


def test_what_a_predicate_looks_for_is_asked_once() -> None:
    """However many rules have it: it is asked for while rules are counted and while they are filed."""
    asked: list[str] = []

    @dataclass(frozen=True)
    class Counted:
        """As `calling_ae_title`."""

        title: str

        def __call__(self, facts: Facts) -> bool:
            return facts.association.calling_ae_title == self.title

        def attributes(self) -> Iterable[AttributePath]:
            return ()

        def keys(self) -> Iterable[Keys]:
            asked.append(self.title)
            return (Keys(calling_ae_title, frozenset([self.title])),)

    predicates = [Counted(f"CT{n}") for n in range(10)]

    RuleIndex([AllConditions((predicates[n % 10], predicate({"modality": ["CT"]}))) for n in range(100)])

    assert sorted(asked) == sorted(one.title for one in predicates)
