"""Named conditions and lists in files, from YAML to a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import Loaded, load
from gateway.dataset.scan import at_once
from gateway.model.association import AssociationFacts
from gateway.model.problem import Problem
from gateway.routing.facts import ObjectFacts
from gateway.routing.table import RoutingTable
from gateway.routing.verdicts import Reason
from tests.support.data_set_writer import EXPLICIT
from tests.support.effort import processor_time_below
from tests.unit.routing.build import ASSOCIATION, MR_IMAGE, NOW, Body, encoded

SITE = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0, name: inner}], admit: any}
unmatched: hold
peers:
  pacs: {ae_title: PACS, address: "pacs.example.org:104"}
"""


def loaded(folder: Path, **files: str) -> Loaded:
    (folder / "site.yaml").write_text(SITE)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return load(folder, {})


def table_of(found: Loaded) -> RoutingTable:
    assert found.problems == ()
    assert found.table is not None
    return found.table


def facts(table: RoutingTable, association: AssociationFacts = ASSOCIATION, **attributes: str) -> ObjectFacts:
    return at_once(
        table.reading_facts(
            association=association,
            sop_class_uid=MR_IMAGE,
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
            body=Body(encoded(attributes)),
            received_at=NOW,
        )
    )


def summary(problems: tuple[Problem, ...]) -> list[tuple[str, int, str]]:
    return [(Path(one.mark.file).name, one.mark.line, one.code) for one in problems]


def test_a_condition_of_one_file_is_named_in_another(tmp_path: Path) -> None:
    table = table_of(
        loaded(
            tmp_path,
            a="routes:\n  - {name: head, to: [pacs], when: {condition: head-mr}}\n",
            b="conditions:\n  head-mr: {all: [{condition: head}, {modality: MR}]}\n",
            c="conditions:\n  head: {attribute: {select: BodyPartExamined, equals: HEAD}}\n",
        )
    )
    assert not table.plan(facts(table, Modality="MR", BodyPartExamined="HEAD")).is_unmatched
    assert table.plan(facts(table, Modality="MR", BodyPartExamined="NECK")).is_unmatched
    assert table.plan(facts(table, Modality="CT", BodyPartExamined="HEAD")).is_unmatched


def test_an_explanation_goes_into_a_named_condition(tmp_path: Path) -> None:
    table = table_of(
        loaded(
            tmp_path,
            a="conditions:\n  mr: {any: [{modality: MR}, {modality: PT}]}\n"
            "routes:\n  - {name: r, to: [pacs], when: {not: {condition: mr}}}\n",
        )
    )
    reason = table.explain(facts(table, Modality="MR")).routes[0].reason

    def paths(one: Reason) -> list[tuple[tuple[str | int, ...], bool]]:
        return [(one.path, one.holds)] + [path for inner in one.inner for path in paths(inner)]

    assert paths(reason) == [
        (("not",), False),
        (("not", "condition"), True),
        (("not", "condition", "any"), True),
        (("not", "condition", "any", 0, "modality"), True),
        (("not", "condition", "any", 1, "modality"), False),
    ]


def test_the_same_name_in_two_files_is_a_problem(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        a="conditions:\n  mr: {modality: MR}\nroutes:\n  - {name: r, to: [pacs], when: {condition: mr}}\n",
        b="conditions:\n  mr: {modality: PT}\n",
    )
    assert summary(found.problems) == [("b.yaml", 2, "duplicate-name")]


def test_a_wrong_condition_is_one_problem_however_often_it_is_named(tmp_path: Path) -> None:
    routes = "".join(f"  - {{name: r{i}, to: [pacs], when: {{condition: mr}}}}\n" for i in range(5))
    found = loaded(tmp_path, a="conditions:\n  mr: {modalty: MR}\n", b=f"routes:\n{routes}")
    assert summary(found.problems) == [("a.yaml", 2, "unknown-predicate")]


def test_a_file_that_is_broken_makes_no_name_unknown(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        a="conditions:\n  mr: {modality: [MR}\n",
        b="routes:\n  - {name: r, to: [pacs], when: {condition: mr}}\n",
    )
    assert [(file, code) for file, _line, code in summary(found.problems)] == [("a.yaml", "syntax")]


def test_an_alias_bomb_in_a_condition_is_bounded(tmp_path: Path) -> None:
    levels = ["  c0: &c0 {modality: MR}"]
    levels += [f"  c{i}: &c{i} {{all: [{', '.join([f'*c{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    with processor_time_below(10):
        found = loaded(tmp_path, a="conditions:\n" + "\n".join(levels) + "\n")
    assert "too-many-values" in [code for _file, _line, code in summary(found.problems)]
    assert found.table is None


def test_a_chain_of_names_written_backwards_is_bounded(tmp_path: Path) -> None:
    names = "\n".join(f"  c{i}: {{not: {{condition: c{i + 1}}}}}" for i in range(3000))
    found = loaded(tmp_path, a=f"conditions:\n{names}\n  c3000: {{modality: MR}}\n")
    assert {code for _file, _line, code in summary(found.problems)} <= {"too-deep", "too-large"}
    assert found.table is None


def test_a_list_is_read_again_with_the_rules_and_its_loss_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "vip.txt").write_text("A1\n")
    rule = "routes:\n  - {name: r, to: [pacs], when: {attribute: {select: PatientID, in: {file: lists/vip.txt}}}}\n"
    first = table_of(loaded(tmp_path, a=rule))
    (tmp_path / "lists" / "vip.txt").write_text("B2\n")
    second = table_of(load(tmp_path, {}))
    (tmp_path / "lists" / "vip.txt").unlink()
    gone = load(tmp_path, {})

    assert [table.plan(facts(table, PatientID="A1")).is_unmatched for table in (first, second)] == [False, True]
    assert first.version != second.version
    assert summary(gone.problems) == [("a.yaml", 2, "bad-file")]
    assert "lists/vip.txt" in gone.problems[0].message


def test_names_keep_nothing_of_the_files_alive(tmp_path: Path) -> None:
    table = table_of(
        loaded(
            tmp_path,
            a="conditions:\n  mr: {modality: MR}\nroutes:\n  - {name: r, to: [pacs], when: {condition: mr}}\n",
        )
    )
    with pytest.raises(ValueError, match="while a configuration is compiled"):
        table.resources.condition("mr")


def test_a_listener_that_there_is_not_is_a_problem(tmp_path: Path) -> None:
    rule = "routes:\n  - {name: r, to: [pacs], when: {not: {listener: [inner, iner]}}}\n"
    found = loaded(tmp_path, a=rule)
    assert [str(one).rpartition("error: ")[2] for one in found.problems] == [
        "unknown-listener: no listener is named `iner` (did you mean `inner`?)"
    ]
