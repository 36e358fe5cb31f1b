"""A predicate, an action and a destination for the DICOM gateway."""
