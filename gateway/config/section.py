"""The `gateway:` section alone, and windows and rates of peers, for commands that need no rules: without the imports
that rules need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config.compile_context import Context
from gateway.config.delivery_limits import DeliveryLimits, compile_limits
from gateway.config.findings import Findings
from gateway.config.process import compile_settings
from gateway.config.source import read
from gateway.config.spec.peers import DeliverySpec
from gateway.config.spec.process import GatewaySpec
from gateway.config.tree import MappingNode, Place
from gateway.config.typed_tree import check
from gateway.model.settings import Settings


def process_settings(path: Path, environ: Mapping[str, str], working_folder: Path | None = None) -> Settings | None:
    """`Loaded.process_settings` of these files, without a look at other sections; None when something is wrong with the
    files or with `gateway:`, which `load` then reports."""
    findings = Findings()
    source = read(path, environ, findings)
    root = Place(source.root, source.root.mark)
    context = Context(findings, (working_folder or Path.cwd()).absolute(), source.is_complete)
    settings = compile_section(root, with_identity_methods(root, context))
    return None if findings.has_errors else settings


def peer_limits(path: Path, environ: Mapping[str, str]) -> Mapping[str, DeliveryLimits]:
    """Peer → its window and rates, where it has any, without a look at the rest; a peer with mistakes is left out."""
    source = read(path, environ, Findings())
    root = Place(source.root, source.root.mark)
    found: dict[str, DeliveryLimits] = {}
    for name in names_in(root, "peers"):
        place, findings = root.at("peers", name).child("delivery"), Findings()
        if place is None or not isinstance(place.node, MappingNode):
            continue
        spec, at = check(place, DeliverySpec, findings)
        if spec is None or (spec.window, spec.rate, spec.objects) == (None, None, None):
            continue
        limits = compile_limits(spec, at, Context(findings, Path.cwd(), source.is_complete))
        if not findings.has_errors:
            found[name] = limits
    return found


def with_identity_methods(root: Place, context: Context) -> Context:
    """A context that knows the names of `user_identities`, where they can be known."""
    return context.knowing_identity_methods(names_in(root, "user_identities"))


def compile_section(root: Place, context: Context) -> Settings | None:
    """The section of a whole configuration; None when it is missing or of no use."""
    place = root.child("gateway")
    if place is None or not isinstance(place.node, MappingNode):
        return None
    spec, at = check(place, GatewaySpec, context.findings)
    return None if spec is None else compile_settings(spec, at, context)


def names_in(root: Place, section: str) -> tuple[str, ...]:
    """The names that a section of named things has."""
    place = root.child(section)
    return tuple(place.node.entries) if place and isinstance(place.node, MappingNode) else ()
