"""Deliveries and instances read by their identifiers, with the facts of their associations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery
from gateway.model.instance import Instance
from gateway.relational import rows
from gateway.relational.rows import batch
from gateway.relational.statements import Statements

ASSOCIATIONS_CACHED = 4096


class RowReader:
    """Reads rows of one connection; remembers facts of associations."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._facts: dict[int, AssociationFacts] = {}
        statements.on_roll_back.append(self._facts.clear)

    def deliveries(self, ids: str) -> list[Delivery]:
        """`ids`: JSON."""
        found = self._statements.json("read_deliveries", ids=ids)
        self._load_facts({row[rows.ASSOCIATION_COLUMN] for row in found})
        return [rows.delivery(row, self._facts) for row in found]

    def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """Instances in order; those that are not there are left out."""
        found = self._statements.json("read_instances", ids=batch(list(instance_ids)))
        self._load_facts({row[rows.INSTANCE_ASSOCIATION_COLUMN] for row in found})
        return [rows.instance(row, self._facts) for row in found]

    def senders(self, association_ids: Iterable[int]) -> dict[int, str]:
        """Associations → their Calling AE Titles; those that are not there are left out."""
        wanted = {*association_ids}
        self._load_facts(wanted)
        return {each: self._facts[each].calling_ae_title for each in sorted(wanted) if each in self._facts}

    def _load_facts(self, association_ids: set[int]) -> None:
        missing = association_ids - self._facts.keys()
        if not missing:
            return
        if len(self._facts) + len(missing) > ASSOCIATIONS_CACHED:
            self._facts.clear()
            missing = association_ids
        loaded = self._statements.json("read_associations", ids=batch(sorted(missing)))
        self._facts |= {association_id: rows.association_facts(text) for association_id, text in loaded}
