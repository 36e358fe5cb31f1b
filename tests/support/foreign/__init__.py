"""Implementations of DICOM by others, with their default settings: CTN, odil, PixelMed, dcmjs-dimse and pynetdicom.

Debian has the first three (`apt-get install ctn odil libpixelmed-java default-jre-headless`), the npm registry has
dcmjs-dimse. What is not installed is named by `missing`.
"""
