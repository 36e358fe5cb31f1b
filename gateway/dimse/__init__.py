"""The DICOM association runtime: upper layer, messages, acceptor and requestor."""
