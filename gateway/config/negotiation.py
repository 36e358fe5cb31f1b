"""A peer's `associate:` → `AssociateKeywords`: the keywords of `AE.associate`, resolved."""

from __future__ import annotations

import base64

from gateway.common import setting_faults as faults
from gateway.common.quantity import host_and_port
from gateway.config.compile_context import Context
from gateway.config.process import host_fault
from gateway.config.spec.associate import (
    AssociateSpec,
    CommonExtendedSpec,
    ContextSpec,
    ExtendedNegotiationSpec,
    UserIdentitySpec,
)
from gateway.config.tls import compile_peer_tls
from gateway.config.tree import Place, without_secrets
from gateway.model.associate import MOST_CONTEXTS, AssociateKeywords, ProposedContext, Role, UserIdentity
from gateway.routing.ae_title_templates import is_template, template_fault
from gateway.routing.language.fields import UID_PATTERN

SMALLEST_PDU_BYTES = 16
"""A P-DATA-TF that carries two bytes of a message, and those come in pairs."""

CommonExtended = tuple[str, str, tuple[str, ...]]


def compile_associate(spec: AssociateSpec, place: Place, context: Context) -> AssociateKeywords:
    """The keywords to associate with a peer. Problems are reported."""
    negotiation, at = spec.ext_neg, place.at("ext_neg")
    window = negotiation.async_operations
    if spec.max_pdu is not None and 0 < spec.max_pdu < SMALLEST_PDU_BYTES:
        fault = faults.out_of_range(f"0 or a number from {SMALLEST_PDU_BYTES}", place.at("max_pdu").shown)
        context.fault(place.at("max_pdu"), fault)
    return AssociateKeywords(
        contexts=_contexts(spec.contexts, place.at("contexts"), context),
        called_ae_title=title_or_template(spec.ae_title, place.at("ae_title"), context),
        max_pdu_bytes=spec.max_pdu,
        roles=_roles(negotiation, at.at("roles"), context),
        extended=tuple(
            (context.sop_class(at.at("extended", index, "sop_class"), item.sop_class), bytes.fromhex(item.information))
            for index, item in enumerate(negotiation.extended)
        ),
        common_extended=tuple(
            _common_extended(item, at.at("common_extended", index), context)
            for index, item in enumerate(negotiation.common_extended)
        ),
        user_identity=None
        if negotiation.user_identity is None
        else _user_identity(negotiation.user_identity, at.at("user_identity"), context),
        async_operations=None if window is None else (window.invoked, window.performed),
        bind_address=_bind_address(spec, place.at("bind_address"), context),
        tls=None if spec.tls_args is None else compile_peer_tls(spec.tls_args, place.at("tls_args"), context),
    )


def title_or_template(title: str | None, place: Place, context: Context) -> str:
    """An AE title as it is written, or a template for one; empty without."""
    if title is None:
        return ""
    if is_template(title) and (fault := template_fault(title)):
        context.error(place, "bad-template", without_secrets(fault, place))
    return title.strip(" ")


def _contexts(specs: tuple[ContextSpec, ...], place: Place, context: Context) -> tuple[ProposedContext, ...]:
    if len(specs) > MOST_CONTEXTS:
        message = f"{len(specs)} presentation contexts; an association has at most {MOST_CONTEXTS} (PS3.8 §9.3.2.2)"
        context.findings.error(place.holder, "too-many-contexts", message)
    return tuple(
        ProposedContext(
            context.sop_class(place.at(index, "abstract_syntax"), spec.abstract_syntax),
            context.transfer_syntaxes(place.at(index, "transfer_syntax"), spec.transfer_syntax),
        )
        for index, spec in enumerate(specs)
    )


def _roles(negotiation: ExtendedNegotiationSpec, place: Place, context: Context) -> tuple[Role, ...]:
    roles: dict[str, Role] = {}
    for index, spec in enumerate(negotiation.roles):
        at = place.at(index)
        uid = context.sop_class(at.at("sop_class"), spec.sop_class)
        if uid in roles and uid:
            message = f"{at.at('sop_class').shown} has its roles above already"
            context.error(at.at("sop_class"), "duplicate-role", message)
        if not spec.scu_role and not spec.scp_role:
            context.error(at.at("scp_role"), "no-role", "`scu_role` and `scp_role` cannot both be false")
        roles.setdefault(uid, Role(uid, spec.scu_role, spec.scp_role))
    return tuple(roles.values())


def _common_extended(spec: CommonExtendedSpec, place: Place, context: Context) -> CommonExtended:
    if len(spec.service_class) > 64 or not UID_PATTERN.fullmatch(spec.service_class):
        at = place.at("service_class")
        context.error(at, "bad-uid", f"{at.shown} is not a UID of at most 64 characters (PS3.5 §9.1)")
    uid = context.sop_class(place.at("sop_class"), spec.sop_class)
    return uid, spec.service_class, context.sop_classes(place.at("related"), spec.related)


def _user_identity(spec: UserIdentitySpec, place: Place, context: Context) -> UserIdentity:
    if spec.type == "username_passcode" and not place.has("secondary"):
        context.fault_of_key(place, faults.needs("type: username_passcode", ["secondary"], "the passcode"))
    if spec.type != "username_passcode" and spec.secondary is not None:
        message = "only `type: username_passcode` has a `secondary` (PS3.7 §D.3.3.7)"
        context.error(place.at("secondary"), "conflict", message)
    if (spec.primary is None) == (spec.primary_base64 is None):
        fault = faults.not_both("a user identity", "primary", "primary_base64")
        context.findings.error(place.holder, fault.code if place.has("primary") else "missing-setting", fault.message)
    primary: str | bytes = "" if spec.primary is None else spec.primary
    return UserIdentity(
        kind=spec.type,
        primary=primary if spec.primary_base64 is None else base64.b64decode("".join(spec.primary_base64.split())),
        secondary="" if spec.secondary is None else spec.secondary,
        is_response_requested=spec.positive_response_requested,
    )


def _bind_address(spec: AssociateSpec, place: Place, context: Context) -> tuple[str, int] | None:
    if spec.bind_address is None:
        return None
    host, port = host_and_port(spec.bind_address)
    if fault := host_fault(host, is_numeric=True):
        context.error(place, "bad-host", f"the host of {place.shown} {fault}")
    if port > 65535:
        context.fault(place, faults.out_of_range("a port from 0 to 65535", place.shown))
    return host, port
