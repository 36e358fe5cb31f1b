-- The oldest version that these tables serve. Those of version 6 and later say it.
SELECT oldest FROM gateway_schema;
