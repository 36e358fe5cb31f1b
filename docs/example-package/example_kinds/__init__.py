"""Kinds of predicates and actions for the DICOM gateway."""
