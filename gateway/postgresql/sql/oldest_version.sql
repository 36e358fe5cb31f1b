-- The oldest schema version whose code may use these tables; that of the tables where they do not say.
SELECT coalesce((to_jsonb(gateway_schema) ->> 'oldest')::integer, version) FROM gateway_schema;
