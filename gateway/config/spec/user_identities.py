"""The section `user_identities:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from gateway.config.spec.security import PEMFiles
from gateway.config.spec.values import DurationText, Text
from gateway.forms.described import Described
from gateway.forms.groups import ListOf
from gateway.forms.spec import Spec


@dataclass(frozen=True, kw_only=True)
class TokenSpec(Spec):
    """JSON Web Tokens (RFC 7519), signed with a key that is known here. A token must have an expiry."""

    keys: Annotated[
        PEMFiles,
        Described(
            description="Files with the issuer's public keys, as JWKS (RFC 7517) or PEM; one or a list. Relative to "
            "the folder of the YAML file; read again when they change.",
            examples=("issuer.jwks",),
        ),
    ]
    issuer: Annotated[Text, Described(description="`iss` must be this.", examples=("https://login.example.org",))]
    audience: Annotated[
        tuple[Text, ...],
        Described(description="`aud` must hold this, or one of these.", examples=("gateway.example.org",)),
    ]
    algorithms: Annotated[
        ListOf[
            Literal[
                "ES256",
                "ES384",
                "ES512",
                "EdDSA",
                "HS256",
                "HS384",
                "HS512",
                "PS256",
                "PS384",
                "PS512",
                "RS256",
                "RS384",
                "RS512",
            ]
        ],
        Described(min_length=1, description="Signatures that are taken."),
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    user_claim: Annotated[Text, Described(description="The claim that holds the user name.")] = "sub"
    leeway: Annotated[DurationText, Described(description="How far clocks may differ.")] = "30 s"


@dataclass(frozen=True, kw_only=True)
class IdentityCommandSpec(Spec):
    """A program that is asked about each identity: JSON on its standard input, its exit code decides. See
    docs/security.md."""

    run: Annotated[
        ListOf[Text],
        Described(
            min_length=1,
            description="Program and arguments; no shell. The program by absolute path.",
            examples=(["/usr/local/bin/check-kerberos", "--realm", "EXAMPLE.ORG"],),
        ),
    ]
    types: Annotated[
        ListOf[Literal["jwt", "kerberos", "saml", "username", "username_passcode"]],
        Described(min_length=1, description="The types of identity that it is asked about; others it does not verify."),
    ]
    time_limit: Annotated[
        DurationText, Described(description="How long it may take; then the association is rejected.")
    ] = "10 s"


@dataclass(frozen=True, kw_only=True)
class IdentityMethodSpec(Spec):
    """One way to verify user identities: by a password file, by tokens, or by a command; exactly one of these."""

    password_file: (
        Annotated[
            Text,
            Described(
                description="File with a line `user:hash` for each user, as `gateway password` prints it (argon2id); "
                "relative to the folder of the YAML file. Read again when it changes.",
                examples=("passwords.txt",),
            ),
        ]
        | None
    ) = None
    jwt: TokenSpec | None = None
    command: IdentityCommandSpec | None = None
