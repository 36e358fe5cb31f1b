-- End all leases of a node.
UPDATE destination_lease SET instance = '', token = nextval('destination_tokens'), until = 0 WHERE instance = %(instance)s;
