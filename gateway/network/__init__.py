"""What every listener needs: sockets that take connections, and descriptors to hold them."""
