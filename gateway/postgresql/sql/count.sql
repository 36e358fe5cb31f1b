-- How many deliveries an operator means.
SELECT count(*) FROM {source} WHERE {filter};
