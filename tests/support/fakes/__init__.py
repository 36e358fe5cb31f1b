"""Fakes of the ports; those of journal, queue and index pass the suites of tests/contract."""
