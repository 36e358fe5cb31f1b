-- The last identifier of each table that was given: rows of (table, identifier).
SELECT of_table, coalesce(pg_sequence_last_value(sequence::regclass), 0) FROM (VALUES
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
) AS known (of_table, sequence);
