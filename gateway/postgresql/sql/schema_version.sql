-- The version of the tables.
SELECT version FROM gateway_schema;
