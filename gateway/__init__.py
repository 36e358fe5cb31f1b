"""A declarative DICOM routing gateway."""

__version__ = "0.1.0"
