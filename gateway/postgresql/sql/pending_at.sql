-- How many deliveries wait at each of these destinations; no more than `most` are counted.
SELECT name, (SELECT count(*) FROM (SELECT 1 FROM due WHERE destination = name LIMIT %(most)s) AS found)
FROM jsonb_array_elements_text(%(destinations)s::jsonb) AS name;
