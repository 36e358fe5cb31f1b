"""TLS, certificates, and the user identities that are demanded of requestors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class CertificateMatch:
    """Conditions on a certificate: all that are named must hold; of several texts for one condition, one."""

    subject: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(part of the subject such as ``CN``, texts)."""
    subject_alternative_names: tuple[str, ...] = ()
    """As `AssociationFacts.tls_names` has them; DNS names in small letters."""
    fingerprints: tuple[str, ...] = ()
    """SHA-256, as `AssociationFacts.tls_fingerprint` has them."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The proofs that a requestor must give to be taken for a peer."""

    is_tls: bool = False
    listeners: tuple[str, ...] = ()
    """It must come in at one of these; empty: any."""
    certificate: CertificateMatch | None = None
    user_identity: IdentityCheck | None = None


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """A user identity is demanded (PS3.7 §D.3.3.7)."""

    methods: tuple[str, ...]
    """Names under `user_identities`; one of them must verify it."""
    users: tuple[str, ...] = ()
    """Only these verified names; empty: any."""


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """Verifies user name and passcode by a file of argon2 hashes."""

    path: str


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Verifies JSON Web Tokens (RFC 7519) by keys in files."""

    paths: tuple[str, ...]
    """JWKS or PEM public keys."""
    issuer: str
    audiences: tuple[str, ...]
    """One of them must be in the token."""
    algorithms: tuple[str, ...]
    user_claim: str = "sub"
    leeway_s: float = 30.0


@dataclass(frozen=True, slots=True)
class IdentityCommand:
    """Verifies by a program's exit code."""

    arguments: tuple[str, ...]
    kinds: frozenset[str]
    """The types of user identity that the command verifies: username, username_passcode, kerberos, saml, jwt."""
    time_limit_s: float = 10.0


IdentityMethod = PasswordFile | TokenKeys | IdentityCommand


@dataclass(frozen=True, slots=True)
class TLS:
    """TLS settings of a listener or of a peer; paths are absolute."""

    certificate: str = ""
    """PEM file with our certificate chain; empty for a client that shows none."""
    key: str = ""
    """PEM file with its key; empty when the key stands in `certificate`."""
    key_pem: str = field(default="", repr=False)
    """The key itself, when it came from a secret."""
    ca: tuple[str, ...] = ()
    """PEM files with the authorities we trust: of client certificates (listener), of the server's (peer)."""
    crl: tuple[str, ...] = ()
    """PEM files with certificate revocation lists of those authorities; empty: revocation is not checked."""
    profile: Literal["bcp195", "bcp195_modified"] = "bcp195"
    """Secure transport connection profile (PS3.15 §B.12, §B.13)."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Listener only."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    server_name: str = ""
    """Peer only: the name its certificate must carry; empty: the host of its address."""
    server_certificate: CertificateMatch | None = None
    """Peer only: what its certificate must be, beside its name."""
    verify: bool = True
    """Peer only."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read for it."""
        return tuple(name for name in (self.certificate, self.key, *self.ca, *self.crl) if name)
