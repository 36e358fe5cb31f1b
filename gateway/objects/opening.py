"""Opens the object store that the settings name. The library for S3 is an extra, and loaded where it is needed."""

from __future__ import annotations

from gateway.model.settings import ObjectStoreSettings
from gateway.objects.folder import FolderObjectStore
from gateway.ports.errors import ConfigurationError
from gateway.ports.object_store import ObjectStore

EXTRA_MISSING = (
    "gateway.store.objects: the library for S3 is not installed; install the gateway with its extra: "
    "pip install 'dicom-gateway[cluster]'"
)


def open_object_store(settings: ObjectStoreSettings) -> ObjectStore:
    """Not looked at yet: `check` does that. Raises ConfigurationError when its library is not installed."""
    if settings.s3 is None:
        return FolderObjectStore(settings.folder)
    try:
        from gateway.objects.s3 import S3ObjectStore
    except ImportError as error:
        raise ConfigurationError(f"{EXTRA_MISSING} ({error})") from error
    return S3ObjectStore(settings.s3)
