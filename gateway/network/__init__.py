"""The base of every listener: sockets that take connections, and descriptors to hold them."""
