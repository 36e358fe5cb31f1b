"""The DIMSE services as a provider: C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE (PS3.7 §9)."""
