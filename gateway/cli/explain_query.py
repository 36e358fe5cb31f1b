"""`gateway explain --query` and `--leniencies`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.cli.keys import identifier_of
from gateway.cli.options import fail
from gateway.common.plain_text import printable
from gateway.dataset.part10 import data_set_of
from gateway.lifecycle import exit_code
from gateway.model.association import AssociationFacts
from gateway.model.query import Attributes, QueryRoot
from gateway.ports.errors import Unreadable
from gateway.query.identifier import read_identifier
from gateway.query.sop_classes import QueryOperation
from gateway.rehearsal.explain.query import QueryAnswer, Request, explain_query
from gateway.rehearsal.explain.query_text import leniency_json, leniency_lines, query_json, query_lines
from gateway.routing.table import RoutingTable

ROOTS: Mapping[str, QueryRoot] = {"study": "study", "patient": "patient", "patient-study": "patient_study"}
LARGEST_BYTES = 4 * 1024**2
"""Largest size of an identifier, as on the wire."""


@dataclass(frozen=True, slots=True)
class QueryToExplain:
    """The query to explain."""

    operation: QueryOperation
    root: QueryRoot
    paths: tuple[Path, ...]
    keys: tuple[str, ...]
    destination: str
    is_relational: bool

    def identifiers(self) -> Iterator[tuple[str, Attributes]]:
        """The identifiers, each with its name. Raises Unreadable, OSError, click.UsageError."""
        if self.keys or not self.paths:
            identifier, _ = identifier_of(self.keys)
            yield "identifier", identifier
        for path in self.paths:
            if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
                raise Unreadable(f"{path} is no file of an identifier, or too large for one")
            yield str(path), read_identifier(*data_set_of(path.read_bytes()))


def show_query(
    table: RoutingTable, association: AssociationFacts, query: QueryToExplain, *, with_values: bool, is_text: bool
) -> None:
    """Print what would become of each; exits 1 when one cannot be read."""
    if (query.operation == "move") != bool(query.destination):
        raise click.UsageError("--query move needs --destination, and nothing else has one")
    shown: list[dict[str, Any]] = []
    try:
        for name, identifier in query.identifiers():
            request = Request(name, query.operation, query.root, identifier, query.destination, query.is_relational)
            answer: QueryAnswer = explain_query(table, association, request)
            if is_text:
                click.echo("\n".join(map(printable, query_lines(answer, with_values=with_values))))
            else:
                shown.append(query_json(answer, with_values=with_values))
    except (Unreadable, OSError) as error:
        fail(str(error), exit_code.FAILURE)
    if not is_text:
        click.echo(json.dumps({"queries": shown}, indent=2, ensure_ascii=False))


def show_leniencies(table: RoutingTable, *, is_text: bool) -> None:
    """Print every kind, and for whom it is in force."""
    if is_text:
        click.echo("\n".join(map(printable, leniency_lines(table))))
        return
    click.echo(json.dumps(leniency_json(table), indent=2, ensure_ascii=False))
