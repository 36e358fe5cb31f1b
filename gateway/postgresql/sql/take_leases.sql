-- Take leases that are over or free; rows of [destination, token]. Rows that another session works on are passed over: of a node
-- that takes the same, or of the holder's last transaction, which ends first.
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
