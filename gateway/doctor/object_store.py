"""The object store of a cluster: whether it does what a node relies on. Its probes are deleted again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gateway import __version__
from gateway.doctor.finding import DoctorFinding, found
from gateway.doctor.site import Site
from gateway.objects.opening import open_object_store
from gateway.ports.errors import ConfigurationError, Temporary


def object_store(site: Site) -> Iterator[DoctorFinding]:
    """The object store; no finding of a gateway that is alone. The cluster that it belongs to is not looked at."""
    if site.settings.objects is None:
        return
    subject = "gateway.store.objects"
    try:
        with contextlib.closing(open_object_store(site.settings.objects)) as store:
            subject = store.shown
            store.check("", __version__)
    except ConfigurationError as error:
        yield found("objects-refused", subject, str(error).removeprefix(f"{subject}: "))
    except Temporary as error:
        yield found("objects-not-reached", subject, str(error).removeprefix(f"{subject}: "))
    else:
        yield found(
            "objects-usable", subject, "objects were written, read, listed and deleted; none took another's place"
        )
