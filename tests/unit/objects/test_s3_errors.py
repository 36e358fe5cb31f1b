"""Errors of the library for S3, in words for an operator."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.s3_errors import StoreOperation, refusal
from gateway.ports.errors import PayloadMissing, SpoolFull


def answer(status: int, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>AKIA-hush</AWSAccessKeyId></Error>" if code else ""
    return f"Error performing GET http://h/b/a in 1ms - Server returned non-2xx status code: {status} Word: {body}"


ANSWERS: dict[tuple[int, str, StoreOperation], tuple[type[Exception], str]] = {
    (403, "AccessDenied", "write"): (
        ObjectStoreRefuses,
        "(403 AccessDenied); grant s3:PutObject and s3:AbortMultip",
    ),
    (403, "", "list"): (ObjectStoreRefuses, "cannot list a: it denies that (403); grant s3:ListBucket on the bucket"),
    (401, "", "read"): (ObjectStoreRefuses, "grant s3:GetObject"),
    (403, "AccessDenied", "delete"): (ObjectStoreRefuses, "grant s3:DeleteObject"),
    (403, "InvalidAccessKeyId", "read"): (ObjectStoreRefuses, "it does not take the keys; correct `access_key_id`"),
    (403, "SignatureDoesNotMatch", "read"): (ObjectStoreRefuses, "it does not take the keys"),
    (403, "RequestTimeTooSkewed", "write"): (ObjectStoreRefuses, "clock and this machine's differ"),
    (404, "NoSuchBucket", "read"): (ObjectStoreRefuses, "there is no such bucket; make it, or correct `bucket`"),
    (404, "NoSuchKey", "read"): (PayloadMissing, "it is not there (404 NoSuchKey)"),
    (404, "", "read"): (ObjectStoreRefuses, "it does not know that address (404)"),
    (404, "NoSuchUpload", "write"): (SpoolFull, "the answer was lost, and its parts are put together or given up"),
    (405, "MethodNotAllowed", "write"): (ObjectStoreRefuses, "is it an S3 server?"),
    (416, "InvalidRange", "read"): (PayloadMissing, "it is too short (416 InvalidRange)"),
    (400, "AuthorizationHeaderMalformed", "write"): (ObjectStoreRefuses, "another region; correct `region`"),
    (501, "NotImplemented", "write"): (ObjectStoreRefuses, "conditional writes (If-None-Match: *)"),
    (501, "", "write"): (ObjectStoreRefuses, "conditional writes (If-None-Match: *)"),
    (503, "SlowDown", "write"): (SpoolFull, "it answers 503 SlowDown; see its log"),
    (500, "", "read"): (SpoolFull, "it answers 500; see its log"),
    (507, "InsufficientStorage", "write"): (SpoolFull, "it answers 507 InsufficientStorage"),
}


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_answers(case: tuple[int, str, StoreOperation]) -> None:
    kind, words = ANSWERS[case]
    error = refusal(PermissionDeniedError(answer(*case[:2])), "S3 here", case[2], "a")
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith(f"S3 here: cannot {case[2]} a: ")
    assert "hush" not in str(error)


FAILURES = {
    'ConnectError("dns error", …)': (SpoolFull, "its host name is not known"),
    'ConnectError("tcp connect error", Os { kind: ConnectionRefused })': (SpoolFull, "nobody listens there"),
    "source: TimedOut": (SpoolFull, "it did not answer in time"),
    "error: InvalidCertificate(UnknownIssuer)": (SpoolFull, "its certificate is not taken"),
    "error: InvalidMessage(InvalidContentType)": (SpoolFull, "it does not speak TLS there"),
    "kind: Connect, source": (SpoolFull, "it cannot be reached"),
    "Received redirect without LOCATION, this normally indicates": (ObjectStoreRefuses, "it belongs to another region"),
    "something new": (SpoolFull, "its answer broke off, or is none of S3"),
}


@pytest.mark.parametrize("text", FAILURES)
def test_failures(text: str) -> None:
    kind, words = FAILURES[text]
    error = refusal(GenericError(text), "S3 here", "list", "")
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith("S3 here: cannot list its objects: ")
