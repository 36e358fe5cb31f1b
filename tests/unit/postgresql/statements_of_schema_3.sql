-- Statements of the gateway whose schema version was 3, as nodes of that version use them. Kept as they were.
-- Left out, since they are made of parts for each question: count, find_deliveries, match_images, match_patients, match_series, match_studies, page, upsert_patient;
-- and those that are none of data: make, lock and drop a journal table, the time limit of a lock.

-- name: add_group
INSERT INTO journal_{hour} (added_at, payloads) VALUES (%(now)s, %(payloads)b) RETURNING group_id;

-- name: add_leases
INSERT INTO destination_lease (destination, instance, token, until)
SELECT destination, '', nextval('destination_tokens'), 0
FROM jsonb_array_elements_text(%(destinations)s::jsonb) AS wanted (destination)
WHERE NOT EXISTS (SELECT 1 FROM destination_lease AS held WHERE held.destination = wanted.destination)
ORDER BY destination
ON CONFLICT DO NOTHING;

-- name: add_objects
WITH row AS (
    SELECT value ->> 0 AS name, (value ->> 1)::bigint AS length_bytes FROM jsonb_array_elements(%(objects)s::jsonb)
), added AS (
    INSERT INTO segment_object (object_name, length_bytes, added_at) SELECT name, length_bytes, %(now)s FROM row
)
INSERT INTO sealed_group (payload_name, object_name, offset_bytes) SELECT name, name, 0 FROM row;

-- name: announce
SELECT pg_notify('gateway_due', CASE WHEN octet_length(whole) < 8000 AND %(destinations)s::json IS NOT NULL THEN whole
                                ELSE json_build_array(current_schema(), %(node)s::text)::text END)
FROM (SELECT json_build_array(current_schema(), %(node)s::text, %(destinations)s::json)::text AS whole) AS notice;

-- name: attempts
SELECT number, started_at, duration_us, state, status, reason FROM attempt
WHERE delivery_id = %(delivery_id)s ORDER BY number;

-- name: beat
INSERT INTO node (instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at)
VALUES (%(instance)s, %(node_name)s, %(version)s, %(configuration)s, %(host)s, %(pid)s, %(state)s, %(destinations)s::jsonb,
        %(started_at)s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT (instance) DO UPDATE SET
    configuration = excluded.configuration, state = excluded.state, destinations = excluded.destinations,
    seen_at = excluded.seen_at;

-- name: claim
WITH leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), found AS (
    SELECT delivery_id, due_at FROM due
    WHERE destination = %(destination)s AND due_at <= %(horizon)s AND (due_at <= %(now)s OR due_at = entered_at)
        AND (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
    ORDER BY due_at, delivery_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.due_at
)
SELECT coalesce(json_agg(delivery_id ORDER BY due_at, delivery_id), '[]') FROM leased;

-- name: claim_apart
WITH RECURSIVE leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), hop (likeness) AS (
    SELECT %(start)s::bigint - 1
    UNION ALL
    SELECT (SELECT min(due.likeness) FROM due
            WHERE due.destination = %(destination)s AND due.likeness > coalesce(
                (SELECT max((range ->> 1)::bigint) FROM jsonb_array_elements(%(apart)s::jsonb) AS range
                 WHERE hop.likeness BETWEEN (range ->> 0)::bigint AND (range ->> 1)::bigint), hop.likeness))
    FROM hop WHERE hop.likeness IS NOT NULL
), found AS (
    SELECT fit.delivery_id, hop.likeness
    FROM hop CROSS JOIN LATERAL (
        SELECT delivery_id FROM due
        WHERE destination = %(destination)s AND likeness = hop.likeness
            AND due_at <= %(horizon)s AND (due_at <= %(now)s OR due_at = entered_at)
        ORDER BY delivery_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS fit
    WHERE (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
        AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(%(apart)s::jsonb) AS range
                        WHERE hop.likeness BETWEEN (range ->> 0)::bigint AND (range ->> 1)::bigint)
    LIMIT %(limit)s
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.likeness
)
SELECT coalesce(json_agg(delivery_id ORDER BY likeness, delivery_id), '[]') FROM leased;

-- name: clock_was_set_back
WITH moved AS (
    UPDATE due
    SET due_at = CASE WHEN leased_until IS NULL THEN least(due_at, %(now)s) ELSE due_at END,
        ready_at = CASE WHEN ready_at IS NOT NULL THEN least(ready_at, %(now)s) END, entered_at = least(entered_at, %(now)s)
    WHERE due_at > %(now)s OR entered_at > %(now)s
    RETURNING delivery_id
)
UPDATE delivery
SET created_at = least(created_at, %(now)s), renewed_at = CASE WHEN renewed_at IS NOT NULL THEN least(renewed_at, %(now)s) END
WHERE delivery_id IN (SELECT delivery_id FROM moved) OR delivery_id = (SELECT max(delivery_id) FROM delivery);

-- name: count_by_destination
SELECT destination, count(*)
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state = 'held'
GROUP BY destination;

-- name: count_in_patients
SELECT coalesce(json_agg(json_build_array(wanted::bigint, counted.studies, counted.series, counted.instances)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
CROSS JOIN LATERAL (
    SELECT count(DISTINCT study_key) AS studies, count(*) AS series, coalesce(sum(instances), 0) AS instances
    FROM (
        SELECT study.study_key, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM study JOIN series ON series.study_key = study.study_key
        WHERE study.patient_key = wanted::bigint
    ) AS each_series
    WHERE instances > 0
) AS counted;

-- name: count_in_series
SELECT coalesce(json_agg(json_build_array(wanted::bigint, (
    SELECT count(*) FROM instance WHERE instance.series_key = wanted::bigint AND is_current = 1
))), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted;

-- name: count_in_studies
SELECT coalesce(json_agg(json_build_array(wanted::bigint, counted.series, counted.instances, counted.modalities)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
CROSS JOIN LATERAL (
    SELECT count(*) AS series, coalesce(sum(instances), 0) AS instances,
           coalesce(json_agg(DISTINCT modality) FILTER (WHERE modality <> ''), '[]') AS modalities
    FROM (
        SELECT modality, (
            SELECT count(*) FROM instance WHERE instance.series_key = series.series_key AND is_current = 1
        ) AS instances
        FROM series WHERE series.study_key = wanted::bigint
    ) AS each_series
    WHERE instances > 0
) AS counted;

-- name: delete_attempts
DELETE FROM attempt USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE attempt.delivery_id = gone::bigint;

-- name: delete_clock
DELETE FROM clock;

-- name: delete_node
DELETE FROM node WHERE instance = %(instance)s;

-- name: delete_spool
DELETE FROM spool;

-- name: depths
SELECT delivery.destination, delivery.state, count(*), sum(instance.payload_length)::bigint, min(delivery.created_at)
FROM delivery JOIN instance ON instance.instance_id = delivery.instance_id
WHERE delivery.state <> 'delivered'
GROUP BY delivery.destination, delivery.state
ORDER BY delivery.destination, delivery.state;

-- name: discard
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'held', 'pending')
), gone AS (
    DELETE FROM due USING chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id
)
DELETE FROM delivery USING chosen LEFT JOIN gone ON gone.delivery_id = chosen.delivery_id
WHERE delivery.delivery_id = chosen.delivery_id AND (chosen.state <> 'pending' OR gone.delivery_id IS NOT NULL)
RETURNING delivery.delivery_id, delivery.instance_id;

-- name: drop_old_attempts
DELETE FROM attempt USING jsonb_array_elements(%(drops)s::jsonb) AS surplus
WHERE attempt.delivery_id = (surplus ->> 0)::bigint AND attempt.number <= (surplus ->> 1)::integer;

-- name: elect
UPDATE instance SET is_current = (instance.instance_id = (
    SELECT max(other.instance_id) FROM instance AS other
    WHERE other.sop_instance_uid = instance.sop_instance_uid AND other.series_key IS NOT NULL
))::integer
FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
WHERE instance.sop_instance_uid = arrived AND instance.series_key IS NOT NULL;

-- name: expire_leases
UPDATE due SET due_at = coalesce(ready_at, due_at), ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE leased_until IS NOT NULL;

-- name: find_duplicates
SELECT coalesce(json_agg(json_build_array(
    arrival.key - 1, instance.instance_id, delivery.destination, delivery.actions_json,
    payload_name, payload_offset, payload_length, association.facts
) ORDER BY delivery.delivery_id), '[]')
FROM jsonb_array_elements(%(arrivals)s::jsonb) WITH ORDINALITY AS arrival (value, key)
JOIN instance ON instance.sop_instance_uid = arrival.value ->> 0
    AND instance.payload_digest = decode(arrival.value ->> 1, 'hex')
    AND instance.transfer_syntax_uid = arrival.value ->> 2 AND instance.sop_class_uid = arrival.value ->> 3
JOIN delivery ON delivery.instance_id = instance.instance_id AND delivery.state IN ('pending', 'held')
JOIN association ON association.association_id = instance.association_id;

-- name: find_forgettable
SELECT json_build_array(coalesce(json_agg(instance_id), '[]'), coalesce(json_agg(DISTINCT association_id), '[]'),
                        json_build_array())
FROM (
    SELECT instance_id, association_id FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NULL AND settled_at < %(before)s
    ORDER BY settled_at, instance_id LIMIT %(limit)s
) AS found;

-- name: find_forgettable_indexed
SELECT json_build_array(coalesce(json_agg(instance_id), '[]'), coalesce(json_agg(DISTINCT association_id), '[]'),
                        coalesce(json_agg(DISTINCT series_key), '[]'))
FROM (
    SELECT instance_id, association_id, series_key FROM instance
    WHERE settled_at IS NOT NULL AND series_key IS NOT NULL AND settled_at < %(before)s
    ORDER BY settled_at, instance_id LIMIT %(limit)s
) AS found;

-- name: find_leased
WITH leased_here AS (
    SELECT destination_lease.destination
    FROM jsonb_each_text(%(tokens)s::jsonb) AS held
    JOIN destination_lease ON destination_lease.destination = held.key AND destination_lease.token = held.value::bigint
    WHERE destination_lease.destination IN (
        SELECT due.destination FROM jsonb_array_elements(%(settlements)s::jsonb) AS settlement
        JOIN due ON due.delivery_id = (settlement ->> 0)::bigint
    )
    ORDER BY destination_lease.destination
    FOR KEY SHARE OF destination_lease
)
SELECT coalesce(json_agg(json_build_array(key - 1, attempts)), '[]') FROM (
    SELECT settlement.key, delivery.attempts
    FROM jsonb_array_elements(%(settlements)s::jsonb) WITH ORDINALITY AS settlement (value, key)
    JOIN due ON due.delivery_id = (settlement.value ->> 0)::bigint
        AND due.lease = (settlement.value ->> 1)::bigint AND due.leased_until IS NOT NULL
    JOIN delivery ON delivery.delivery_id = due.delivery_id
    WHERE %(tokens)s::jsonb IS NULL OR due.destination IN (SELECT destination FROM leased_here)
    ORDER BY due.delivery_id FOR UPDATE OF due
) AS held;

-- name: find_orphan_associations
SELECT coalesce(json_agg(wanted::bigint), '[]') FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.association_id = wanted::bigint);

-- name: find_unindexed
SELECT coalesce(json_agg(instance_id), '[]') FROM (
    SELECT instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN instance ON instance.instance_id = wanted::bigint AND instance.series_key IS NULL
    ORDER BY instance_id FOR NO KEY UPDATE OF instance
) AS found;

-- name: forget_associations
DELETE FROM association USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE association_id = gone::bigint;

-- name: forget_attempts
DELETE FROM attempt USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone, delivery
WHERE delivery.instance_id = gone::bigint AND attempt.delivery_id = delivery.delivery_id;

-- name: forget_deliveries
DELETE FROM delivery USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE instance_id = gone::bigint;

-- name: forget_instances
DELETE FROM instance USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone WHERE instance_id = gone::bigint;

-- name: forget_objects
WITH gone AS (
    SELECT value AS object_name FROM jsonb_array_elements_text(%(names)s::jsonb)
), groups AS (
    DELETE FROM sealed_group USING gone WHERE sealed_group.object_name = gone.object_name
)
DELETE FROM segment_object USING gone WHERE segment_object.object_name = gone.object_name;

-- name: forget_patients
DELETE FROM patient USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE patient_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM study WHERE study.patient_key = patient.patient_key)
RETURNING patient_key;

-- name: forget_series
DELETE FROM series USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE series_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.series_key = series.series_key)
RETURNING study_key;

-- name: forget_studies
DELETE FROM study USING jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE study_key = wanted::bigint AND NOT EXISTS (SELECT 1 FROM series WHERE series.study_key = study.study_key)
RETURNING patient_key;

-- name: free_claimed
UPDATE due SET due_at = coalesce(ready_at, due_at), ready_at = NULL, leased_until = NULL, lease = lease + 1
WHERE destination = ANY (ARRAY(SELECT jsonb_array_elements_text(%(destinations)s::jsonb)))
    AND due_at > (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AND leased_until IS NOT NULL;

-- name: has_destination
SELECT EXISTS (SELECT 1 FROM delivery WHERE destination = %(destination)s);

-- name: has_group
SELECT EXISTS (SELECT 1 FROM journal_{hour} WHERE group_id = %(group)s);

-- name: has_instances
SELECT EXISTS (SELECT 1 FROM instance);

-- name: has_journal_of_hour
SELECT to_regclass('journal_{hour}') IS NOT NULL;

-- name: has_tables
SELECT EXISTS (
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_namespace.nspname = current_schema() AND pg_class.relname = 'gateway_schema'
);

-- name: hold
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'pending')
), gone AS (
    DELETE FROM due USING chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id, due.lease, coalesce(due.ready_at, due.due_at) AS due_at
)
UPDATE delivery
SET state = 'held', lease = coalesce(gone.lease, delivery.lease) + 1, due_at = coalesce(gone.due_at, delivery.due_at)
FROM chosen LEFT JOIN gone ON gone.delivery_id = chosen.delivery_id
WHERE delivery.delivery_id = chosen.delivery_id AND (chosen.state <> 'pending' OR gone.delivery_id IS NOT NULL);

-- name: hold_rows
SELECT json_build_array(
    (CASE WHEN jsonb_array_length(%(sop_instance_uids)s::jsonb) > 512
        THEN (SELECT count(pg_advisory_xact_lock(1145525044, hashtext(current_schema()))))
        ELSE (SELECT count(pg_advisory_xact_lock_shared(1145525044, hashtext(current_schema())))) + (
            SELECT count(pg_advisory_xact_lock(1145525043, number)) FROM (
                SELECT DISTINCT hashtext(current_schema() || ' ' || arrived) AS number
                FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
                ORDER BY number) AS each)
    END),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT patient_key AS key FROM patient WHERE patient_key = ANY(%(patient)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT study_key AS key FROM study WHERE study_key = ANY(%(study)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT series_key AS key FROM series WHERE series_key = ANY(%(series)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT association_id AS key FROM association WHERE association_id = ANY(%(association)s::bigint[])
        FOR KEY SHARE) AS held)
);

-- name: index_instances
UPDATE instance SET series_key = (row ->> 1)::bigint, attributes = without_nul(row ->> 2)
FROM jsonb_array_elements(%(instances)s::jsonb) AS row
WHERE instance.instance_id = (row ->> 0)::bigint AND instance.series_key IS NULL;

-- name: insert_association
INSERT INTO association (facts) VALUES (%(facts)s) RETURNING association_id;

-- name: insert_attempts
INSERT INTO attempt (delivery_id, number, started_at, duration_us, state, status, reason)
SELECT (row ->> 0)::bigint, (row ->> 1)::integer, (row ->> 2)::bigint, (row ->> 3)::bigint, row ->> 4,
       (row ->> 5)::integer, row ->> 6
FROM jsonb_array_elements(%(attempts)s::jsonb) AS row;

-- name: insert_deliveries
WITH row AS (
    SELECT (value ->> 0)::bigint AS delivery_id, (value ->> 1)::bigint AS instance_id, value ->> 2 AS destination,
           value ->> 3 AS rule, value ->> 4 AS actions_json, value ->> 5 AS state, (value ->> 6)::bigint AS likeness,
           (value ->> 7)::bigint AS at
    FROM jsonb_array_elements(%(deliveries)s::jsonb)
), added AS (
    INSERT INTO delivery (delivery_id, instance_id, destination, rule, actions_json, state, likeness, created_at, due_at)
    SELECT delivery_id, instance_id, destination, rule, actions_json, state, likeness, at, at FROM row
)
INSERT INTO due (delivery_id, destination, likeness, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, at, at, 0 FROM row WHERE state = 'pending';

-- name: insert_instances
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid,
                      series_instance_uid, association_id, payload_name, payload_offset, payload_length,
                      payload_digest, received_at, settled_at, series_key, attributes, is_current, kept_facts)
SELECT (row ->> 0)::bigint, row ->> 1, row ->> 2, row ->> 3, row ->> 4, row ->> 5, (row ->> 6)::bigint, row ->> 7,
       (row ->> 8)::bigint, (row ->> 9)::bigint, decode(row ->> 10, 'base64'), (row ->> 11)::bigint,
       (row ->> 12)::bigint, (row ->> 13)::bigint, without_nul(nullif(row ->> 14, '')), (row ->> 15)::smallint,
       row ->> 16
FROM jsonb_array_elements(%(instances)s::jsonb) AS row;

-- name: insert_spool
INSERT INTO spool (spool_id) VALUES (%(spool_id)s);

-- name: journal_hours
SELECT substring(relname FROM 9)::bigint AS hour FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^journal_[0-9]+$'
ORDER BY hour;

-- name: keep_clock
INSERT INTO clock (one, queue_time, wall_time) VALUES (1, %(queue_time)s, %(wall_time)s)
ON CONFLICT (one) DO UPDATE SET queue_time = excluded.queue_time, wall_time = excluded.wall_time;

-- name: known_objects
SELECT object_name FROM segment_object
JOIN jsonb_array_elements_text(%(names)s::jsonb) AS wanted ON wanted = object_name;

-- name: last_acceptance
SELECT max(created_at) FROM delivery WHERE state <> 'held';

-- name: last_delivery
SELECT coalesce(max(delivery_id), 0) FROM delivery;

-- name: lock_delivered
SELECT count(*) FROM (
    SELECT instance_id FROM instance
    WHERE instance_id IN (SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
                          JOIN delivery ON delivery.delivery_id = wanted::bigint)
    ORDER BY instance_id FOR NO KEY UPDATE
) AS locked;

-- name: lock_holders
SELECT held.pid, activity.backend_start, coalesce(host(activity.client_addr), 'this machine'), held.mode = 'ShareLock'
FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid::bigint = %(space)s
    AND held.objid::bigint = (hashtext(current_schema() || %(of)s)::bigint & 4294967295);

-- name: lock_siblings
SELECT count(*) FROM (
    SELECT delivery.delivery_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.instance_id = wanted::bigint
    ORDER BY delivery.delivery_id FOR UPDATE OF delivery
) AS locked;

-- name: mark_settled
UPDATE instance SET settled_at = %(now)s
WHERE instance_id IN (
        SELECT delivery.instance_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
        JOIN delivery ON delivery.delivery_id = wanted::bigint
    )
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );

-- name: mark_settled_instances
UPDATE instance SET settled_at = %(now)s
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
WHERE instance_id = wanted::bigint AND settled_at IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = instance.instance_id AND state <> 'delivered'
    );

-- name: missing
SELECT wanted::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS each (wanted, key)
WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.delivery_id = wanted::bigint)
ORDER BY key;

-- name: newest_arrival
SELECT created_at FROM delivery ORDER BY delivery_id DESC LIMIT 1;

-- name: next_due
SELECT CASE WHEN due_at = entered_at THEN least(due_at, %(now)s) ELSE due_at END
FROM due
WHERE destination = %(destination)s
ORDER BY due.due_at -- the column: without its table it is the expression above, which no index has in order
LIMIT 1;

-- name: payload_names
WITH RECURSIVE hop (name) AS (
    (SELECT payload_name FROM instance ORDER BY payload_name LIMIT 1)
    UNION ALL
    SELECT (SELECT payload_name FROM instance WHERE payload_name > hop.name ORDER BY payload_name LIMIT 1)
    FROM hop WHERE hop.name IS NOT NULL
)
SELECT coalesce(json_agg(json_build_array(name, (
    SELECT payload_offset + payload_length FROM instance
    WHERE payload_name = hop.name ORDER BY payload_offset DESC LIMIT 1
))), '[]')
FROM hop WHERE name IS NOT NULL;

-- name: pending_destinations
WITH RECURSIVE hop (destination) AS (
    (SELECT destination FROM due ORDER BY destination LIMIT 1)
    UNION ALL
    SELECT (SELECT due.destination FROM due WHERE due.destination > hop.destination ORDER BY due.destination LIMIT 1)
    FROM hop WHERE hop.destination IS NOT NULL
)
SELECT destination FROM hop WHERE destination IS NOT NULL;

-- name: place
SELECT object_name, offset_bytes FROM sealed_group WHERE payload_name = %(payload)s;

-- name: promote
UPDATE instance SET is_current = 1
WHERE instance_id IN (
    SELECT max(other.instance_id)
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS gone
    JOIN instance AS current ON current.instance_id = gone::bigint AND current.is_current = 1
    JOIN instance AS other ON other.sop_instance_uid = current.sop_instance_uid AND other.series_key IS NOT NULL
        AND other.instance_id NOT IN (SELECT each::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) AS each)
    GROUP BY other.sop_instance_uid
);

-- name: read_associations
SELECT coalesce(json_agg(json_build_array(association_id, facts)), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
JOIN association ON association.association_id = wanted::bigint;

-- name: read_clock
SELECT queue_time, wall_time FROM clock;

-- name: read_deliveries
SELECT coalesce(json_agg(json_build_array(
    delivery.delivery_id, delivery.destination, delivery.rule, delivery.actions_json, delivery.state,
    delivery.attempts, delivery.created_at, coalesce(due.ready_at, due.due_at, delivery.due_at),
    coalesce(due.lease, delivery.lease), delivery.reason, delivery.renewed_at,
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, encode(instance.payload_digest, 'hex'), instance.received_at, instance.instance_id,
    instance.kept_facts
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN delivery ON delivery.delivery_id = wanted.value::bigint
JOIN instance ON instance.instance_id = delivery.instance_id
LEFT JOIN due ON due.delivery_id = delivery.delivery_id;

-- name: read_group
SELECT payloads FROM journal_{hour} WHERE group_id = %(group)s;

-- name: read_images
SELECT coalesce(json_agg(json_build_array(
    patient.patient_key, study.study_key, series.series_key, instance.instance_id, patient.attributes, study.attributes,
    series.attributes, instance.attributes, instance.sop_instance_uid, instance.sop_class_uid
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN instance ON instance.instance_id = wanted.value::bigint
JOIN series ON series.series_key = instance.series_key
JOIN study ON study.study_key = series.study_key
JOIN patient ON patient.patient_key = study.patient_key;

-- name: read_instances
SELECT coalesce(json_agg(json_build_array(
    instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax_uid, instance.study_instance_uid,
    instance.series_instance_uid, instance.association_id, instance.payload_name, instance.payload_offset,
    instance.payload_length, encode(instance.payload_digest, 'hex'), instance.received_at, instance.instance_id,
    instance.kept_facts
) ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN instance ON instance.instance_id = wanted.value::bigint;

-- name: read_known
SELECT segment, end_bytes FROM known;

-- name: read_leases
SELECT coalesce(json_agg(json_build_array(
    destination, instance, token, until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
) ORDER BY destination), '[]')
FROM destination_lease;

-- name: read_nodes
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
SELECT coalesce(json_agg(json_build_array(
    instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at, now_us - seen_at,
    (SELECT count(*) FROM destination_lease AS held WHERE held.instance = node.instance AND held.until > now_us)
) ORDER BY name, started_at, instance), '[]')
FROM node, present;

-- name: read_part_of_group
SELECT substring(payloads FROM %(start)s FOR %(length)s) FROM journal_{hour} WHERE group_id = %(group)s;

-- name: read_patients
SELECT coalesce(json_agg(json_build_array(patient.patient_key, NULL, NULL, NULL, patient.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN patient ON patient.patient_key = wanted.value::bigint;

-- name: read_series
SELECT coalesce(json_agg(json_build_array(patient.patient_key, study.study_key, series.series_key, NULL,
                                          patient.attributes, study.attributes, series.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN series ON series.series_key = wanted.value::bigint
JOIN study ON study.study_key = series.study_key
JOIN patient ON patient.patient_key = study.patient_key;

-- name: read_spool
SELECT spool_id FROM spool LIMIT 1;

-- name: read_studies
SELECT coalesce(json_agg(json_build_array(patient.patient_key, study.study_key, NULL, NULL,
                                          patient.attributes, study.attributes)
                         ORDER BY wanted.key), '[]')
FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (value, key)
JOIN study ON study.study_key = wanted.value::bigint
JOIN patient ON patient.patient_key = study.patient_key;

-- name: release
WITH released AS (
    UPDATE delivery
    SET state = 'pending', due_at = %(now)s, renewed_at = %(now)s,
        destination = CASE WHEN %(destination)s <> '' THEN %(destination)s ELSE destination END
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    WHERE delivery_id = wanted::bigint AND state = 'held' AND (destination <> '' OR %(destination)s <> '')
    RETURNING delivery_id, destination, likeness, lease
)
INSERT INTO due (delivery_id, destination, likeness, due_at, entered_at, lease)
SELECT delivery_id, destination, likeness, %(now)s, %(now)s, lease FROM released;

-- name: release_leases
UPDATE destination_lease SET instance = '', token = nextval('destination_tokens'), until = 0
FROM jsonb_array_elements(%(leases)s::jsonb) AS held
WHERE destination_lease.destination = held ->> 0 AND destination_lease.token = (held ->> 1)::bigint;

-- name: release_leases_of
UPDATE destination_lease SET instance = '', token = nextval('destination_tokens'), until = 0 WHERE instance = %(instance)s;

-- name: renew_leases
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us), renewed AS (
    UPDATE destination_lease SET until = now_us + %(lease_us)s
    FROM present, jsonb_array_elements(%(leases)s::jsonb) AS held
    WHERE destination_lease.destination = held ->> 0 AND destination_lease.token = (held ->> 1)::bigint AND until > now_us
    RETURNING destination_lease.destination
)
SELECT coalesce(json_agg(destination), '[]') FROM renewed;

-- name: retry
WITH chosen AS (
    SELECT delivery.delivery_id, delivery.destination, delivery.likeness, delivery.lease, delivery.state
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN delivery ON delivery.delivery_id = wanted::bigint AND delivery.state IN ('dead', 'pending')
), renewed AS (
    UPDATE due
    SET due_at = %(now)s, entered_at = %(now)s, ready_at = NULL, leased_until = NULL, lease = due.lease + 1
    FROM chosen
    WHERE due.delivery_id = chosen.delivery_id AND (due.leased_until IS NULL OR due.leased_until <= %(present)s)
    RETURNING due.delivery_id
), again AS (
    INSERT INTO due (delivery_id, destination, likeness, due_at, entered_at, lease)
    SELECT delivery_id, destination, likeness, %(now)s, %(now)s, lease + 1 FROM chosen WHERE state = 'dead'
    ON CONFLICT DO NOTHING
    RETURNING delivery_id
)
UPDATE delivery SET state = 'pending', due_at = %(now)s, renewed_at = %(now)s
FROM (SELECT delivery_id FROM renewed UNION ALL SELECT delivery_id FROM again) AS taken
WHERE delivery.delivery_id = taken.delivery_id;

-- name: seal
WITH added AS (
    INSERT INTO segment_object (object_name, length_bytes, added_at) VALUES (%(object)s, %(length)s, %(now)s)
)
INSERT INTO sealed_group (payload_name, object_name, offset_bytes)
SELECT value ->> 0, %(object)s, (value ->> 1)::bigint FROM jsonb_array_elements(%(groups)s::jsonb);

-- name: server_settings
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
       current_setting('data_checksums');

-- name: server_time
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: set_schema_version
UPDATE gateway_schema SET version = %(version)s;

-- name: settle
WITH held AS (
    SELECT due.delivery_id, due.lease, settlement ->> 2 AS state, settlement ->> 4 AS reason,
           (settlement ->> 5)::integer AS attempts,
           CASE WHEN (settlement ->> 5)::integer = 0 AND (settlement ->> 3)::bigint <= %(now)s
                THEN due.ready_at ELSE (settlement ->> 3)::bigint END AS due_at
    FROM jsonb_array_elements(%(settlements)s::jsonb) AS settlement
    JOIN due ON due.delivery_id = (settlement ->> 0)::bigint
        AND due.lease = (settlement ->> 1)::bigint AND due.leased_until IS NOT NULL
), back AS (
    UPDATE due SET due_at = held.due_at, ready_at = NULL, leased_until = NULL
    FROM held WHERE due.delivery_id = held.delivery_id AND held.state = 'pending'
), gone AS (
    DELETE FROM due USING held WHERE due.delivery_id = held.delivery_id AND held.state <> 'pending'
)
UPDATE delivery
SET state = held.state, due_at = held.due_at, lease = held.lease, attempts = delivery.attempts + held.attempts,
    reason = CASE WHEN held.attempts = 0 AND held.reason = '' THEN delivery.reason ELSE held.reason END
FROM held
WHERE delivery.delivery_id = held.delivery_id AND NOT (held.state = 'pending' AND held.attempts = 0 AND held.reason = '');

-- name: settled_in_future
UPDATE instance SET settled_at = %(now)s WHERE settled_at > %(now)s;

-- name: sop_classes_in_studies
SELECT coalesce(json_agg(json_build_array(study_key, sop_class_uid) ORDER BY study_key, sop_class_uid), '[]') FROM (
    SELECT DISTINCT series.study_key, instance.sop_class_uid
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN series ON series.study_key = wanted::bigint
    JOIN instance ON instance.series_key = series.series_key AND instance.is_current = 1
) AS found;

-- name: supersede
WITH here AS (
    SELECT instance_id
    FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
    JOIN instance ON sop_instance_uid = arrived AND is_current = 1
    ORDER BY instance_id FOR NO KEY UPDATE OF instance
)
UPDATE instance SET is_current = 0
FROM here WHERE instance.instance_id = here.instance_id
RETURNING sop_instance_uid, series_key;

-- name: take_deliveries
WITH wanted AS MATERIALIZED (
    SELECT id::bigint AS delivery_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS id
), waiting AS MATERIALIZED (
    SELECT delivery.delivery_id FROM wanted JOIN delivery USING (delivery_id)
    WHERE delivery.state IN ('dead', 'held')
    ORDER BY delivery.delivery_id FOR UPDATE OF delivery
), free AS MATERIALIZED (
    SELECT due.delivery_id FROM wanted JOIN due USING (delivery_id)
    WHERE due.leased_until IS NULL OR due.leased_until <= %(present)s
    ORDER BY due.delivery_id FOR UPDATE OF due
)
SELECT coalesce(json_agg(delivery_id), '[]')::text FROM (SELECT * FROM waiting UNION ALL SELECT * FROM free) AS taken;

-- name: take_forgettable
WITH mine AS MATERIALIZED (
    SELECT instance.instance_id, instance.sop_instance_uid, instance.association_id, instance.series_key
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN instance ON instance.instance_id = wanted::bigint AND instance.settled_at IS NOT NULL
    FOR UPDATE OF instance SKIP LOCKED
), above AS MATERIALIZED (
    SELECT DISTINCT series_key, study_key, patient_key
    FROM mine JOIN series USING (series_key) JOIN study USING (study_key)
), free_patient AS MATERIALIZED (
    SELECT patient_key FROM patient WHERE patient_key IN (SELECT patient_key FROM above) FOR UPDATE SKIP LOCKED
), free_study AS MATERIALIZED (
    SELECT study_key FROM study WHERE study_key IN (SELECT study_key FROM above) FOR UPDATE SKIP LOCKED
), free_series AS MATERIALIZED (
    SELECT series_key FROM series WHERE series_key IN (SELECT series_key FROM above) FOR UPDATE SKIP LOCKED
), free_association AS MATERIALIZED (
    SELECT association_id FROM association WHERE association_id IN (SELECT association_id FROM mine)
    FOR UPDATE SKIP LOCKED
), free AS MATERIALIZED (
    SELECT instance_id, sop_instance_uid FROM mine
    WHERE association_id IN (SELECT association_id FROM free_association)
        AND (series_key IS NULL OR series_key IN (
            SELECT series_key FROM above JOIN free_patient USING (patient_key) JOIN free_study USING (study_key)
            JOIN free_series USING (series_key)))
), busy AS MATERIALIZED (
    SELECT instance_id FROM (
        SELECT instance_id, sop_instance_uid FROM free
        WHERE EXISTS (SELECT 1 FROM instance AS other WHERE other.sop_instance_uid = free.sop_instance_uid
                      AND other.instance_id <> free.instance_id)
        OFFSET 0
    ) AS with_others
    WHERE NOT (pg_try_advisory_xact_lock_shared(1145525044, hashtext(current_schema()))
               AND pg_try_advisory_xact_lock(1145525043, hashtext(current_schema() || ' ' || sop_instance_uid)))
)
SELECT coalesce(json_agg(instance_id ORDER BY instance_id), '[]') FROM free
WHERE instance_id NOT IN (SELECT instance_id FROM busy);

-- name: take_identifiers
SELECT json_build_array(
    (SELECT coalesce(json_agg(nextval('instance_ids')), '[]') FROM generate_series(1, %(instances)s)),
    (SELECT coalesce(json_agg(nextval('delivery_ids')), '[]') FROM generate_series(1, %(deliveries)s))
);

-- name: take_leases
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us), free AS (
    SELECT destination, now_us FROM destination_lease, present
    WHERE destination IN (SELECT jsonb_array_elements_text(%(destinations)s::jsonb)) AND until <= now_us
    FOR UPDATE OF destination_lease SKIP LOCKED
), taken AS (
    UPDATE destination_lease
    SET instance = %(instance)s, token = nextval('destination_tokens'), until = now_us + %(lease_us)s
    FROM free WHERE destination_lease.destination = free.destination
    RETURNING destination_lease.destination, destination_lease.token
)
SELECT coalesce(json_agg(json_build_array(destination, token)), '[]') FROM taken;

-- name: take_migration_lock
SELECT pg_advisory_xact_lock(1145525041, hashtext(current_schema() || ' migration'));

-- name: take_sealing_turn
SELECT pg_try_advisory_lock(1145525041, hashtext(current_schema() || ' sealing'));

-- name: tidy_leases
DELETE FROM destination_lease
WHERE until < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - %(kept_us)s
    AND NOT EXISTS (SELECT 1 FROM node WHERE node.destinations ? destination_lease.destination)
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));

-- name: tidy_nodes
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us)
DELETE FROM node USING present
WHERE (seen_at < now_us - %(kept_us)s
       OR seen_at <= now_us - %(live_us)s
       AND EXISTS (SELECT 1 FROM node AS later WHERE later.name = node.name AND later.started_at > node.started_at))
    AND pg_try_advisory_xact_lock(1145525041, hashtext(current_schema() || ' nodes'));

-- name: touch_known
UPDATE known SET touched = touched + 1;

-- name: try_lock
SELECT pg_try_advisory_lock(%(space)s, hashtext(current_schema() || %(of)s));

-- name: try_lock_shared
SELECT pg_try_advisory_lock_shared(%(space)s, hashtext(current_schema() || %(of)s));

-- name: unnamed_objects
SELECT object_name, EXISTS (
    SELECT 1 FROM sealed_group JOIN instance ON instance.payload_name = sealed_group.payload_name
    WHERE sealed_group.object_name = page.object_name
)
FROM (SELECT object_name FROM segment_object WHERE object_name > %(after)s ORDER BY object_name LIMIT %(limit)s) AS page
ORDER BY object_name;

-- name: unsealed_groups
SELECT group_id, octet_length(payloads), added_at FROM journal_{hour}
WHERE NOT EXISTS (SELECT 1 FROM sealed_group WHERE payload_name = 'journal/{hour}/' || group_id)
    AND EXISTS (SELECT 1 FROM instance WHERE payload_name = 'journal/{hour}/' || group_id)
ORDER BY group_id LIMIT %(limit)s;

-- name: update_known
UPDATE known SET segment = %(segment)s, end_bytes = %(end_bytes)s;

-- name: upsert_series
INSERT INTO series (study_key, attributes, identity)
SELECT %(parent)s, attributes, sha256(convert_to(coalesce(attributes ->> '0020000E', ''), 'UTF8'))
FROM (SELECT without_nul(%(attributes)s) AS attributes) AS arrived
ON CONFLICT (study_key, identity) DO UPDATE SET attributes = series.attributes || excluded.attributes
RETURNING series_key;

-- name: upsert_study
INSERT INTO study (patient_key, attributes, identity)
SELECT %(parent)s, attributes, sha256(convert_to(coalesce(attributes ->> '0020000D', ''), 'UTF8'))
FROM (SELECT without_nul(%(attributes)s) AS attributes) AS arrived
ON CONFLICT (patient_key, identity) DO UPDATE SET attributes = study.attributes || excluded.attributes
RETURNING study_key;

-- name: waiting
SELECT destination, count(*) FROM due GROUP BY destination;
