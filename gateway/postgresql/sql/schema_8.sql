-- Everything that schema version 8 adds: how much is kept for each destination, without reading all of it. Each statement that
-- changes deliveries adds what it changed, of whatever version the gateway is that sends it. Nobody changes such a row: some are
-- replaced by their sum (fold_changes.sql), so that no writer waits for another one.
CREATE TABLE queue_change (
    destination text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL, -- never `delivered`
    number bigint NOT NULL, -- of deliveries that came, less those that went
    size_bytes bigint NOT NULL, -- of their instances
    oldest_at bigint -- none of those that came, and are there still, was created before
) WITH (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- The search for the length must not become a walk through all instances, whatever was known of the table at first.
CREATE FUNCTION note_queue_change() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan TO off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO queue_change (destination, state, number, size_bytes, oldest_at)
        SELECT destination, state, count(*), coalesce(sum(length), 0), min(created_at)
        FROM (
            SELECT destination, state, created_at,
                   (SELECT payload_length FROM instance WHERE instance.instance_id = came.instance_id) AS length
            FROM came WHERE state <> 'delivered'
        ) AS counted
        GROUP BY destination, state;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO queue_change (destination, state, number, size_bytes)
        SELECT destination, state, -count(*), -coalesce(sum(length), 0)
        FROM (
            SELECT destination, state,
                   (SELECT payload_length FROM instance WHERE instance.instance_id = went.instance_id) AS length
            FROM went WHERE state <> 'delivered'
        ) AS counted
        GROUP BY destination, state;
    ELSE
        INSERT INTO queue_change (destination, state, number, size_bytes, oldest_at)
        SELECT destination, state, sum(sign), coalesce(sum(sign * length), 0), min(created_at) FILTER (WHERE sign = 1)
        FROM (
            SELECT destination, state, created_at, 1 AS sign,
                   (SELECT payload_length FROM instance WHERE instance.instance_id = came.instance_id) AS length
            FROM came WHERE state <> 'delivered'
            UNION ALL
            SELECT destination, state, created_at, -1,
                   (SELECT payload_length FROM instance WHERE instance.instance_id = went.instance_id)
            FROM went WHERE state <> 'delivered'
        ) AS counted
        GROUP BY destination, state
        HAVING sum(sign) <> 0 OR sum(sign * length) <> 0
            OR min(created_at) FILTER (WHERE sign = 1) < min(created_at) FILTER (WHERE sign = -1);
    END IF;
    RETURN NULL;
END
$$;

-- To make a trigger keeps writers out until all of this is over, and no reader: what is there is counted once.
CREATE TRIGGER deliveries_came AFTER INSERT ON delivery REFERENCING NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION note_queue_change();
CREATE TRIGGER deliveries_changed AFTER UPDATE ON delivery REFERENCING OLD TABLE AS went NEW TABLE AS came
FOR EACH STATEMENT EXECUTE FUNCTION note_queue_change();
CREATE TRIGGER deliveries_went AFTER DELETE ON delivery REFERENCING OLD TABLE AS went
FOR EACH STATEMENT EXECUTE FUNCTION note_queue_change();

INSERT INTO queue_change (destination, state, number, size_bytes, oldest_at)
SELECT delivery.destination, delivery.state, count(*), sum(instance.payload_length), min(delivery.created_at)
FROM delivery JOIN instance ON instance.instance_id = delivery.instance_id
WHERE delivery.state <> 'delivered'
GROUP BY delivery.destination, delivery.state;

-- The oldest one is the first one. `delivery_owed`, with whose columns it begins, stays: to drop it would wait for every reader
-- that has a transaction open, and let all writers wait meanwhile.
CREATE INDEX delivery_by_age ON delivery (destination, state, created_at) WHERE state <> 'delivered';
