"""The association acceptor: admission, negotiation, and the requests of an accepted association (PS3.8)."""
