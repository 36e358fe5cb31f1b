"""Query/Retrieve without network and storage: identifiers, matching (PS3.4 Annex C), answers. Pure functions."""
