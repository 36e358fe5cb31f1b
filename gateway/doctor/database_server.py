"""The PostgreSQL server with the queue: whether it takes us, and keeps what it says it has."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.site import Site
from gateway.ports.errors import ConfigurationError, GatewayError
from gateway.stores import opening


def database_server(site: Site) -> Iterator[DoctorFinding]:
    """The server; no finding where the store is a file."""
    if not site.settings.postgresql:
        return
    subject = "gateway.store.postgresql"
    try:
        subject = opening.shown(site.settings)
        problems = opening.problems(site.settings)
    except ConfigurationError as error:
        yield found("database-refused", subject, _without(subject, error))
        return
    except GatewayError as error:
        yield found("database-not-reached", subject, _without(subject, error))
        return
    for problem in problems:
        text, _, remedy = problem.partition("; ")
        yield found("database-not-durable", subject, text, remedy=remedy)
    if not problems:
        yield found("database-reached", subject, "it answers, and keeps what it says it has")


def _without(subject: str, error: GatewayError) -> str:
    return str(error).removeprefix(f"database {subject}: ")
