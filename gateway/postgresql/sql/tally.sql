-- How much there is of everything, to compare two stores: rows of (what, number).
SELECT 'associations', count(*) FROM association
UNION ALL SELECT 'patients', count(*) FROM patient
UNION ALL SELECT 'studies', count(*) FROM study
UNION ALL SELECT 'series', count(*) FROM series
UNION ALL SELECT 'instances', count(*) FROM instance
UNION ALL SELECT 'bytes', coalesce(sum(payload_length), 0)::bigint FROM instance
UNION ALL SELECT 'attempts', count(*) FROM attempt
UNION ALL SELECT 'kept copies', count(*) FROM kept_copy
UNION ALL SELECT 'pauses', count(*) FROM pause
UNION ALL SELECT 'affinities', count(*) FROM group_affinity
UNION ALL SELECT 'trace entries', count(*) FROM trace_entry
UNION ALL SELECT 'operations', count(*) FROM operation
UNION ALL SELECT 'collections', count(*) FROM collection
UNION ALL SELECT 'instances of collections', count(*) FROM collection_instance
UNION ALL SELECT 'deliveries that wait for collections', count(*) FROM waiting_delivery
UNION ALL SELECT 'deliveries ' || state, count(*) FROM delivery GROUP BY state;
