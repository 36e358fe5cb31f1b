"""Nothing that the network sends is remembered without a bound in bytes."""

from __future__ import annotations

import ast
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from gateway.conversion.pool import _label
from gateway.dataset import charset, dictionary
from gateway.model.instance import IndexEntry
from gateway.model.likeness import _likeness, likeness
from gateway.relational import index_tables
from gateway.relational.index_tables import IndexTables
from gateway.relational.statements import Statements
from gateway.routing.actions.deidentification import rulings
from gateway.sqlite.store import SQLiteDialect
from tests.support.source_trees import nodes_of

PACKAGE = Path(__file__).parents[2] / "gateway"

FROM_THE_NETWORK = {
    "dataset/code_extensions.py:_bytes_of": "one character and the name of a codec",
    "dataset/dictionary.py:_private_vr_of": "creators of at most 64 characters",
    "dataset/dictionary.py:name_of": "numbers",
    "dataset/dictionary.py:takes_count": "numbers",
    "dataset/dictionary.py:vm_of": "numbers",
    "dataset/dictionary.py:vr_of": "numbers",
    "dataset/reencode.py:_is_other": "4096 numbers with a VR of two letters",
    "dimse/protocol/message.py:_ordered": "256 sets of keywords of ours",
    "dimse/protocol/context.py:service_of": "UIDs of at most 128 characters",
    "dataset/native.py:alternatives": "transfer syntaxes of accepted contexts, at most 128 characters",
    "model/likeness.py:_likeness": "UIDs of at most 128 characters, AE titles, transfer syntaxes of accepted contexts",
    "query/identifier.py:_head": "numbers",
    "query/matching.py:compiled": "256 patterns of at most 1024 characters",
    "routing/predicates/association.py:_is_within": "addresses of hosts",
    "routing/predicates/association.py:subject_parts": "256 subjects of certificates that were verified",
    "routing/actions/deidentification/rulings.py:_rulings": "SOP classes of the tables; all others share one",
}
FROM_THE_CONFIGURATION = {
    "config/typed_tree.py:_free_settings",
    "dataset/elements.py:selection_of",
    "dataset/scanned_level.py:wanted",
    "dimse/acceptor/hosts.py:_networks",
    "dimse/protocol/associate_items.py:own_identification",
    "postgresql/pipeline.py:_numbered",
    "common/nearest.py:_by_folded",
    "common/nearest.py:_by_part",
    "common/nearest.py:_nearest",
    "routing/language/attribute_path.py:parse",
    "routing/language/attribute_path.py:tag_of",
    "routing/actions/deidentification/overrides.py:overrides_of",
    "routing/actions/deidentification/private.py:by_vr",
    "routing/actions/deidentification/rulings.py:_nested",
    "routing/language/fields.py:_uid_names",
    "routing/language/template_filters.py:compiled",
    "routing/index_keys.py:_networks_of",
    "forms/groups.py:_builders",
    "forms/groups.py:form_of",
    "forms/groups.py:required",
    "forms/groups.py:settings",
    "routing/language/kind_tree.py:_child_fields",
    "routing/language/kinds.py:_builder",
    "routing/language/kinds.py:_taken_from_outside",
    "routing/language/path_selection.py:tags_of",
    "routing/language/sop_groups.py:group",
    "routing/language/time_zone.py:time_zone",
}


def cached_functions() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in nodes_of(path):
            if not isinstance(node, ast.FunctionDef):
                continue
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if node.args.args and any("cache" in each and "property" not in each for each in decorators):
                found.add(f"{path.relative_to(PACKAGE)}:{node.name}")
    return found


def test_every_cache_of_a_function_is_accounted_for() -> None:
    """One that is new: say here where its keys come from, and what bounds their length."""
    assert cached_functions() == FROM_THE_NETWORK.keys() | FROM_THE_CONFIGURATION


def test_long_character_sets_are_not_remembered() -> None:
    before = charset._remembered.cache_info().currsize
    for number in range(10):
        assert charset.encodings((f"{number}" * 300,)) == charset.DEFAULT
        assert charset.encodings(("",) * (300 + number)) == charset.DEFAULT
    assert charset._remembered.cache_info().currsize <= before + 1


def test_long_creators_are_not_remembered() -> None:
    before = dictionary._private_vr_of.cache_info().currsize
    assert dictionary.private_vr_of(0x00291010, "SIEMENS CSA HEADER" + "x" * 64) is None
    assert dictionary._private_vr_of.cache_info().currsize == before
    assert dictionary.private_vr_of(0x00291010, "SIEMENS CSA HEADER") == "OB"


def test_the_likeness_of_long_uids_is_not_remembered() -> None:
    before = _likeness.cache_info().currsize
    long = likeness("1.2", "1.2.840.10008.1.2", "CT1", "1" * 129)
    assert _likeness.cache_info().currsize == before
    assert 0 < long != likeness("1.2", "1.2.840.10008.1.2", "CT1", "1" * 128) > 0


def test_sop_classes_that_nobody_knows_share_their_rulings() -> None:
    one = rulings.rulings(frozenset(), "1.2.3.4")
    assert rulings.rulings(frozenset(), "1.2.3.5") is one
    assert rulings.rulings(frozenset(), "1.2.840.10008.5.1.4.1.1.2") is not one


@pytest.mark.parametrize(
    ("uid", "label"), [("1.2.840.10008.1.2", "ImplicitVRLittleEndian"), ("1.2.3.4", "(other)"), ("x", "(other)")]
)
def test_nobody_makes_labels_of_metrics(uid: str, label: str) -> None:
    assert _label(uid) == label


def test_keys_of_the_index_are_remembered_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_tables, "CACHED_CHARACTERS", 1000)
    statements = create_autospec(Statements, instance=True)
    statements.single.return_value = 1
    tables = IndexTables(statements, SQLiteDialect())
    for number in range(50):
        tables.series_key(IndexEntry(f'{{"a":"{number}"}}', f'{{"b":"{number}"}}', f'{{"c":"{number}"}}', "{}"))
        assert sum(len(attributes) for _, _, attributes in tables._known) <= 1000
    assert tables._known
