"""The meaning of an error of S3: the operation, the place, the reason, what to do. Texts of the server are not quoted:
they name keys."""

from __future__ import annotations

import re
from typing import Literal

from gateway.objects.errors import ObjectStoreRefuses
from gateway.ports.errors import PayloadMissing, SpoolFull

StoreOperation = Literal["write", "read", "list", "delete"]

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")

RIGHTS: dict[StoreOperation, str] = {
    "write": "s3:PutObject and s3:AbortMultipartUpload",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
}

_KEYS = "it does not take the keys; correct `access_key_id` and `secret_access_key`"
_REGION = "it belongs to another region; correct `region`, or the place in `endpoint`"

_REFUSALS = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "ExpiredToken": "the keys from the environment have ended; give it new ones",
    "RequestTimeTooSkewed": "its clock and this machine's differ by many minutes; run an NTP client on both",
    "NoSuchBucket": "there is no such bucket; make it, or correct `bucket`",
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "NotImplemented": "it does not know how to do that; take a server that knows conditional writes "
    "(If-None-Match: *) and multipart uploads",
}
"""Code of an error of S3 → reason and remedy."""

_FAILURES = (
    ("dns error", "its host name is not known; correct `endpoint`, or the name server"),
    ("ConnectionRefused", "nobody listens there; start the server, or correct `endpoint`"),
    (
        "InvalidCertificate",
        "its certificate is not taken; give this machine the server's authority",
    ),
    ("InvalidContentType", "it does not speak TLS there; correct `endpoint`"),
    ("BadScheme", "plain HTTP is not allowed here; write `http://` in `endpoint`"),
    ("TimedOut", "it did not answer in time; is it overloaded, or the network down?"),
    ("Connect,", "it cannot be reached; look at the server and the network"),
)
"""Words in the error of the library → reason and remedy."""


def status_of(text: str) -> int:
    """The HTTP status that an error of the library names; 0 without one."""
    found = _STATUS.search(text)
    return int(found[1]) if found else 0


def code_of(text: str) -> str:
    """The code of S3 in the error of the library; empty without one."""
    found = _CODE.search(text)
    return found[1] if found else ""


def refusal(error: Exception, shown: str, operation: StoreOperation, name: str) -> SpoolFull | PayloadMissing:
    """Our error for one of the library."""
    text = str(error)
    status, code = status_of(text), code_of(text)
    before = f"{shown}: cannot {operation} {name or 'its objects'}"
    if code in _REFUSALS:
        return ObjectStoreRefuses(f"{before}: {_REFUSALS[code]} ({status} {code})")
    answer = f"{status} {code}".strip()
    if status == 501:
        return ObjectStoreRefuses(f"{before}: {_REFUSALS['NotImplemented']} ({answer})")
    if status in (401, 403):
        remedy = f"grant {RIGHTS[operation]} on the bucket and what lies below the prefix"
        return ObjectStoreRefuses(f"{before}: it denies that ({answer}); {remedy}")
    if operation == "read" and (code == "NoSuchKey" or status == 416):  # a balancer's 404 is no word about an object
        reason = "it is too short" if status == 416 else "it is not there"
        return PayloadMissing(f"{before}: {reason} ({answer}); restore it, or discard what it held")
    if code == "NoSuchUpload":
        reason = "the answer was lost, and its parts are put together or given up already"
        return SpoolFull(f"{before}: {reason}; it can be written again ({answer})")
    if status in (404, 405):
        remedy = "is it an S3 server? Correct `endpoint` or `bucket`"
        return ObjectStoreRefuses(f"{before}: it does not know that address ({answer}); {remedy}")
    if "without LOCATION" in text:
        return ObjectStoreRefuses(f"{before}: {_REGION}")
    if status:
        return SpoolFull(f"{before}: it answers {answer}; see its log")
    for words, reason in _FAILURES:
        if words in text:
            return SpoolFull(f"{before}: {reason}")
    return SpoolFull(f"{before}: its answer broke off, or is none of S3; look at the server and the network")
