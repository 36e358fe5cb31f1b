"""The gateway as a service class user, for the command line: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET."""
