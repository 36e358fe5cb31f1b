"""`gateway explain`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.access import require_places
from gateway.cli.explain_query import ROOTS, QueryToExplain, show_leniencies, show_query
from gateway.cli.options import FORMAT, fail, rules_option, usable_table
from gateway.common.plain_text import printable
from gateway.lifecycle import exit_code
from gateway.model.association import AssociationFacts
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import GatewayError
from gateway.query.sop_classes import QueryOperation
from gateway.rehearsal import explain as explaining
from gateway.rehearsal.explain.as_json import as_json
from gateway.rehearsal.explain.as_text import answer_lines
from gateway.rehearsal.stage import staged
from gateway.routing.table import RoutingTable

Subjects = Iterator[explaining.ExplainedObject | explaining.Unexplained]


def moment(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """The time that an option names, aware; in this machine's zone where it names none. Raises click.BadParameter."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no date and time such as 2026-11-21T22:00 or 2026-11-21T22:00+01:00"
        ) from None


@click.command(
    epilog="\b\nExamples\n"
    "  gateway explain image.dcm --calling-ae CT1\n"
    "  gateway explain study/ --calling-ae CT1 --host 10.1.0.7 --verify pacs,vna\n"
    "  gateway explain --delivery 17 --show-values\n"
    "  gateway explain --query find -k QueryRetrieveLevel=IMAGES -k StudyInstanceUID=1.2.3 --calling-ae WS1\n"
    "  gateway explain --leniencies"
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@rules_option
@click.option("--calling-ae", default="", metavar="TITLE", help="AE title of the sender; needed for files.")
@click.option("--called-ae", default="", metavar="TITLE", help="AE title it calls  [default: the gateway's].")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it calls from.")
@click.option("--listener", default="", metavar="NAME", help="Listener it comes in by  [default: the first].")
@click.option("--tls-subject", default="", metavar="NAME", help="Subject of its certificate, as CN=ct1,O=Example.")
@click.option("--tls-name", "tls_names", multiple=True, metavar="NAME", help="Its alternative names, as DNS:ct1.")
@click.option("--tls-fingerprint", default="", metavar="DIGITS", help="SHA-256 of its certificate.")
@click.option("--user", default="", metavar="NAME", help="User identity, taken as verified.")
@click.option("--claimed-user", default="", metavar="NAME", help="User identity that nobody verified.")
@click.option("--remote-port", default=0, type=click.IntRange(0, 65535), metavar="PORT", help="Port it calls from.")
@click.option("--implementation-class", default="", metavar="UID", help="Its Implementation Class UID.")
@click.option("--implementation-version", default="", metavar="NAME", help="Its Implementation Version Name.")
@click.option(
    "--received-at", callback=moment, metavar="TIME", help="When files arrive, as 2026-11-21T22:00  [default: now]."
)
@click.option("--delivery", "deliveries", type=int, multiple=True, metavar="ID", help="The object of this delivery.")
@click.option("--instance", "instances", type=int, multiple=True, metavar="ID", help="A stored instance.")
@click.option("--sop-instance-uid", default="", metavar="UID", help="Stored instances with this UID.")
@click.option("--query", type=click.Choice(["find", "move", "get"]), help="Explain a C-FIND, C-MOVE or C-GET.")
@click.option(
    "-k", "--key", "keys", multiple=True, metavar="KEY[=VALUE]", help="A key of its identifier; or name files."
)
@click.option(
    "--model",
    type=click.Choice(list(ROOTS)),
    default="study",
    show_default=True,
    help="Information model of the query.",
)
@click.option("--destination", default="", metavar="TITLE", help="Move Destination of the C-MOVE.")
@click.option("--relational", is_flag=True, help="Relational queries were agreed on for the C-FIND.")
@click.option("--leniencies", is_flag=True, help="List where the standard is not insisted on, and for whom it is.")
@click.option("--verify", metavar="PEERS", help="Exit 1 unless each object goes to just these: a,b; '' for none.")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Show so many; count the others.")
@click.option("--show-values", is_flag=True, help="Show values of the objects: they may name a patient.")
@FORMAT
def explain(rules: Path, form: str, **given: Any) -> None:
    """Show what would happen to objects, and why: which rules match, what changes, where it goes. Sends nothing.

    PATHS are DICOM files, or folders of them. Stored objects are explained as they lie in the spool, over the
    association they came by; that is safe while the gateway runs. With --query, PATHS or keys are identifiers.
    """
    options = _Options(**given, is_text=form == "text")
    if options.leniencies:
        show_leniencies(usable_table(rules), is_text=options.is_text)
        return
    options.check()
    table = usable_table(rules)
    if options.query is not None:
        query = QueryToExplain(
            options.query, ROOTS[options.model], options.paths, options.keys, options.destination, options.relational
        )
        show_query(table, options.association(table), query, with_values=options.show_values, is_text=options.is_text)
        return
    _show_objects(table, options)


@dataclass(frozen=True, slots=True)
class _Options:
    """The command line, option by option."""

    paths: tuple[Path, ...]
    calling_ae: str
    called_ae: str
    host: str
    listener: str
    tls_subject: str
    tls_names: tuple[str, ...]
    tls_fingerprint: str
    user: str
    claimed_user: str
    remote_port: int
    implementation_class: str
    implementation_version: str
    received_at: datetime | None
    deliveries: tuple[int, ...]
    instances: tuple[int, ...]
    sop_instance_uid: str
    query: QueryOperation | None
    keys: tuple[str, ...]
    model: str
    destination: str
    relational: bool
    leniencies: bool
    verify: str | None
    limit: int
    show_values: bool
    is_text: bool

    @property
    def is_stored(self) -> bool:
        """True when stored objects are named."""
        return bool(self.deliveries or self.instances or self.sop_instance_uid)

    def check(self) -> None:
        """Raises click.UsageError for options that do not belong together, or that are missing."""
        if self.query is None and (self.keys or self.destination or self.relational):
            raise click.UsageError("--key, --destination and --relational belong to --query")
        if self.query is not None and not self.calling_ae:
            raise click.UsageError("missing option '--calling-ae': the AE title of the requestor")
        if self.query is None and self.is_stored == bool(self.paths):
            options = "--delivery, --instance or --sop-instance-uid"
            raise click.UsageError(f"name files or folders, or a stored object by {options}")
        if self.received_at is not None and (self.query is not None or self.is_stored):
            raise click.UsageError("--received-at is for files; stored objects have arrived, and queries are of now")
        if self.paths and not self.calling_ae:
            raise click.UsageError("missing option '--calling-ae': the AE title of the sender")

    def association(self, table: RoutingTable) -> AssociationFacts:
        """The association by which files and queries would come."""
        return AssociationFacts(
            calling_ae_title=self.calling_ae,
            called_ae_title=self.called_ae or table.settings.ae_title,
            remote_host=self.host,
            listener=self.listener or table.settings.listeners[0].name,
            tls_subject=self.tls_subject,
            tls_names=self.tls_names,
            tls_fingerprint=self.tls_fingerprint.replace(":", "").lower(),
            user_identity=self.user,
            claimed_user_identity=self.claimed_user,
            remote_port=self.remote_port,
            implementation_class_uid=self.implementation_class,
            implementation_version_name=self.implementation_version,
        )

    def subjects(self, table: RoutingTable) -> Subjects:
        """The objects to explain."""
        if not self.is_stored:
            return explaining.of_files(self.paths, self.association(table), self.received_at or datetime.now(UTC))
        which = DeliveryFilter(ids=self.deliveries, instance_ids=self.instances, sop_instance_uid=self.sop_instance_uid)
        return explaining.of_queue(table.settings, which)

    def expected(self) -> frozenset[str] | None:
        """The destinations that --verify names; None without."""
        if self.verify is None:
            return None
        return frozenset(name.strip() for name in self.verify.split(",") if name.strip())


def _show_objects(table: RoutingTable, options: _Options) -> None:
    if options.is_stored:
        require_places(table.settings, is_read_only=True)
    summary = explaining.ExplanationSummary(options.expected())
    try:
        asyncio.run(_explain(table, options, summary))
    except GatewayError as error:
        fail(str(error))
    if not summary.objects and not summary.unexplained_count:
        fail("there is no such object" if options.is_stored else "no DICOM file to explain")
    if not summary.is_as_expected:
        raise SystemExit(exit_code.FAILURE)


async def _explain(table: RoutingTable, options: _Options, summary: explaining.ExplanationSummary) -> None:
    """Show the first `options.limit` explanations, count all."""
    shown: list[explaining.InstanceExplanation] = []
    limit, with_values = options.limit, options.show_values
    async with staged(table) as stage:
        for subject in options.subjects(table):
            if isinstance(subject, explaining.Unexplained):
                summary.skip(subject)
                if summary.unexplained_count <= max(limit, 1):
                    click.echo(printable(f"gateway: {subject.name}: {subject.reason}"), err=True)
                continue
            answer = await explaining.explain(stage, subject, with_values=with_values)
            summary.add(answer)
            if summary.objects <= limit and options.is_text:
                click.echo("\n".join(map(printable, answer_lines(answer, with_values=with_values))))
            elif summary.objects <= limit:
                shown.append(answer)
    if not options.is_text:
        click.echo(json.dumps(as_json(shown, summary, with_values=with_values), indent=2, ensure_ascii=False))
        return
    if summary.objects > 1:
        click.echo("\n".join(summary.lines()))
    for name, difference in summary.mismatches[: max(limit, 1)]:
        click.echo(f"gateway: {name}: {difference}", err=True)
