-- Add instances: rows as `gateway.relational.rows.instance_row` makes them, with series, attributes, the mark of the newest
-- and kept facts behind.
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid,
                      series_instance_uid, association_id, payload_name, payload_offset, payload_length,
                      payload_digest, received_at, settled_at, series_key, attributes, is_current, kept_facts)
SELECT (row ->> 0)::bigint, row ->> 1, row ->> 2, row ->> 3, row ->> 4, row ->> 5, (row ->> 6)::bigint, row ->> 7,
       (row ->> 8)::bigint, (row ->> 9)::bigint, decode(row ->> 10, 'base64'), (row ->> 11)::bigint,
       (row ->> 12)::bigint, (row ->> 13)::bigint, without_nul(nullif(row ->> 14, '')), (row ->> 15)::smallint,
       row ->> 16
FROM jsonb_array_elements(%(instances)s::jsonb) AS row;
