"""Servers, acceptors and requestors for tests of what crosses the network, and a peer made of bytes."""
