"""The section `gateway.store` → the database, the object store and the name of the node."""

from __future__ import annotations

import importlib.util
import os
import re
import socket

from gateway.common import setting_faults as faults
from gateway.common.quantity import size_bytes
from gateway.config.compile_context import Context
from gateway.config.spec.process import GatewaySpec
from gateway.config.spec.store import S3Spec, StoreSpec
from gateway.config.tree import Place
from gateway.model.settings import UNSEALED_LIMIT_BYTES, ObjectStoreSettings, S3Settings

POSTGRESQL_URL = re.compile(r"postgres(ql)?://.")
LEAST_UNSEALED_LIMIT_BYTES = 256 * 1024**2
"""A few objects of the object store: while it works, some seconds of what arrives lie unsealed."""
NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+|^[.-]+")


def compile_postgresql(spec: GatewaySpec, place: Place, context: Context) -> str:
    """The URL of the database; empty without one."""
    if spec.store is None:
        return ""
    at = place.at("store", "postgresql")
    if not POSTGRESQL_URL.match(spec.store.postgresql):
        example = "postgresql://gateway@db.example.org:5432/gateway"
        message = (
            f"expected the URL of a database such as `{example}`; what is written is not shown: it may have a password"
        )
        context.error(at, "bad-address", message)
    if place.has("queue"):
        message = "`store` has the queue in place of a file, so that `queue` says nothing; leave one of them out"
        context.error(place.at("queue"), "two-places", message)
    if importlib.util.find_spec("psycopg") is None:
        message = "the library for PostgreSQL is not installed here; `pip install 'dicom-gateway[cluster]'` brings it"
        context.findings.warning(at.mark, "library-missing", message)
    return spec.store.postgresql


def compile_objects(spec: StoreSpec | None, place: Place, context: Context) -> ObjectStoreSettings | None:
    """The object store of the cluster; None for a gateway that is alone."""
    if spec is None or spec.objects is None:
        return None
    at = place.at("objects")
    if spec.objects.s3 is not None and spec.objects.folder is not None:
        context.error(at, "conflict", "objects are stored in `s3` or in `folder`, not in both; leave one of them out")
    if spec.objects.s3 is None and spec.objects.folder is None:
        context.error(
            at, "missing-setting", "the setting `s3` or `folder` is missing: it says where objects are stored"
        )
    s3 = None if spec.objects.s3 is None else _s3(spec.objects.s3, at.at("s3"), context)
    folder = spec.objects.folder or ""
    if folder and not os.path.isabs(folder):
        message = f"expected an absolute path such as `/mnt/shared/gateway`, found {at.at('folder').shown}"
        context.error(at.at("folder"), "bad-path", message)
    return ObjectStoreSettings(folder, s3)


def _s3(spec: S3Spec, place: Place, context: Context) -> S3Settings:
    if (spec.access_key_id is None) != (spec.secret_access_key is None):
        missing = "access_key_id" if spec.access_key_id is None else "secret_access_key"
        message = f"the setting `{missing}` is missing; without both the keys are the environment's"
        context.error(place, "missing-setting", message)
    port = re.search(r":([0-9]{1,5})/?$", spec.endpoint or "")
    if port and not 1 <= int(port[1]) <= 65535:
        context.fault(place.at("endpoint"), faults.out_of_range("a port from 1 to 65535", place.at("endpoint").shown))
    if importlib.util.find_spec("obstore") is None:
        message = "the library for S3 is not installed here; `pip install 'dicom-gateway[cluster]'` brings it"
        context.findings.warning(place.mark, "library-missing", message)
    return S3Settings(
        bucket=spec.bucket,
        endpoint=(spec.endpoint or "").rstrip("/"),
        prefix=(spec.prefix or "").rstrip("/"),
        region=spec.region,
        access_key_id=spec.access_key_id or "",
        secret_access_key=spec.secret_access_key or "",
    )


def compile_unsealed_limit(spec: StoreSpec | None, place: Place, context: Context) -> int:
    """The most bytes that wait for the object store."""
    if spec is None:
        return UNSEALED_LIMIT_BYTES
    limit_bytes = size_bytes(spec.unsealed_limit)
    if limit_bytes < LEAST_UNSEALED_LIMIT_BYTES:
        at = place.at("unsealed_limit")
        context.fault(at, faults.out_of_range("at least 256 MiB", at.shown))
    return limit_bytes


def compile_node(spec: StoreSpec | None, place: Place, context: Context) -> str:
    """The name of this node; empty for a gateway that is alone."""
    if spec is None or spec.objects is None:
        if spec is not None and spec.node is not None:
            message = "only a gateway with `objects` is a node; leave `node` out, or write `objects`"
            context.error(place.at("node"), "no-effect", message)
        return ""
    return spec.node or NO_NAME.sub("", socket.gethostname())[:63] or "node"
