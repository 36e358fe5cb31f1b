-- Say which version the tables have now.
UPDATE gateway_schema SET version = %(version)s;
