"""The section `gateway.store`: PostgreSQL, and the object store of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gateway.config.spec.values import SizeText, Text
from gateway.forms.described import Described
from gateway.forms.spec import Spec

_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+)"
_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclass(frozen=True, kw_only=True)
class S3Spec(Spec):
    """A bucket of S3, or of a server that speaks S3 and knows conditional writes. Needs the extra `cluster`."""

    bucket: Annotated[
        str,
        Described(
            title="bucket",
            description="Its name: 3 to 63 small letters, digits, `-` and `.`.",
            pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$(?!\n)",
            examples=("images",),
        ),
    ]
    endpoint: (
        Annotated[
            str,
            Described(
                title="URL",
                description="The server's URL, without a path; the bucket stands in the path of each request. "
                "`http://` sends everything in clear text. Default: Amazon's of `region`.",
                pattern=rf"^https?://{_HOST}(:[0-9]{{1,5}})?/?$(?!\n)",
                code="bad-address",
                examples=("https://objects.example.org:9000",),
            ),
        ]
        | None
    ) = None
    prefix: (
        Annotated[
            str,
            Described(
                title="prefix",
                description="The folder in the bucket: letters, digits, `_`, `-` and `.`, folders separated by `/`, at "
                "most 200. Default: none, the bucket is the cluster's alone.",
                pattern=rf"^(?=.{{0,200}}$){_PART}(/{_PART})*/?$(?!\n)",
                examples=("north",),
            ),
        ]
        | None
    ) = None
    region: Annotated[
        str,
        Described(
            title="region",
            description="As the server names it; most servers of one's own take any.",
            pattern=r"^[A-Za-z0-9-]{1,63}$(?!\n)",
            examples=("eu-central-1",),
        ),
    ] = "us-east-1"
    access_key_id: (
        Annotated[
            Text,
            Described(
                is_secret=True,
                description="Write it as ${NAME} or ${file:PATH}. Default: the keys of the environment "
                "(AWS_ACCESS_KEY_ID), or of the machine's role.",
                examples=("${S3_ACCESS_KEY_ID}",),
            ),
        ]
        | None
    ) = None
    secret_access_key: (
        Annotated[
            Text,
            Described(
                is_secret=True,
                description="Write it as ${NAME} or ${file:PATH}; with `access_key_id`.",
                examples=("${file:/run/secrets/s3}",),
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class ObjectsSpec(Spec):
    """The object store that all nodes of a cluster share (docs/cluster.md): `s3` or `folder`."""

    s3: S3Spec | None = None
    folder: (
        Annotated[
            Text,
            Described(
                description="Folder of a file system that all nodes mount, with hard links; an absolute path. It is "
                "never made.",
                examples=("/mnt/shared/gateway",),
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True, kw_only=True)
class StoreSpec(Spec):
    """The place of deliveries and index, where it is no file. Without `objects` payloads stay in `spool`, and one
    gateway uses it."""

    postgresql: Annotated[
        Text,
        Described(
            is_secret=True,
            description="URL of a PostgreSQL database (14 or newer, UTF8) in place of `queue.sqlite`; write it as "
            "${NAME} or ${file:PATH}. The gateway makes its tables in the schema that the role sees first. Needs the "
            "extra `cluster`. While the server cannot be reached, C-STORE is answered with 0xA700.",
            examples=("${DATABASE_URL}", "postgresql://gateway@db.example.org:5432/gateway"),
        ),
    ]
    objects: ObjectsSpec | None = None
    unsealed_limit: Annotated[
        SizeText,
        Described(
            description="With `objects`: at so many bytes in the database that are not in the object store yet, "
            "C-STORE is answered with 0xA700 (out of resources) by all nodes. The database needs room for them."
        ),
    ] = "20 GiB"
    node: (
        Annotated[
            str,
            Described(
                title="name",
                description="The name of this node, which no other node has: letters, digits, `_`, `-` and `.`, at "
                "most 63; with `objects`. Default: the host's name. `gateway run --workers N` adds `-1` to `-N`.",
                pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$(?!\n)",
                examples=("north-1",),
            ),
        ]
        | None
    ) = None
