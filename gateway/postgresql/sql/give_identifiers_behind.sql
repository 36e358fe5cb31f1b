-- No identifier up to these is given from now on: rows of [table, identifier].
SELECT count(setval(known.sequence::regclass, (row ->> 1)::bigint)) FROM (VALUES
    ('association', pg_get_serial_sequence('association', 'association_id')),
    ('patient', pg_get_serial_sequence('patient', 'patient_key')),
    ('study', pg_get_serial_sequence('study', 'study_key')),
    ('series', pg_get_serial_sequence('series', 'series_key')),
    ('instance', 'instance_ids'),
    ('delivery', 'delivery_ids'),
    ('pause', pg_get_serial_sequence('pause', 'pause_id')),
    ('group_affinity', pg_get_serial_sequence('group_affinity', 'affinity_id')),
    ('collection', pg_get_serial_sequence('collection', 'collection_id')),
    ('operation', pg_get_serial_sequence('operation', 'operation_id')),
    ('trace_entry', pg_get_serial_sequence('trace_entry', 'entry_id'))
) AS known (of_table, sequence)
JOIN jsonb_array_elements(%(last)s::jsonb) AS row ON row ->> 0 = known.of_table
WHERE (row ->> 1)::bigint > coalesce(pg_sequence_last_value(known.sequence::regclass), 0);
