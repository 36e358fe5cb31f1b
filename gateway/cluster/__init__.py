"""One of several nodes: payloads lie where every node reads them, in the database and in an object store."""
