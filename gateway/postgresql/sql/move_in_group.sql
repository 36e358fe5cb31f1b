-- Deliveries of a group go from one destination to another, in order of arrival: those that no lease is on, and that the first
-- destination cannot have. They are due now, as if they came now: claims look for those. The node that works on the first destination moves
-- them, by the token of its lease; any one where none does.
WITH leased AS (
    SELECT token FROM destination_lease
    WHERE destination = %(source)s AND instance <> '' AND until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FOR KEY SHARE
), found AS (
    SELECT delivery_id FROM due
    WHERE group_name <> '' AND group_name = %(group)s AND destination = %(source)s AND is_doubtful = %(is_doubtful)s
        AND leased_until IS NULL AND NOT EXISTS (SELECT 1 FROM leased WHERE token IS DISTINCT FROM %(token)s::bigint)
    ORDER BY delivery_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE due SET destination = %(target)s, due_at = %(now)s, is_doubtful = 0
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id
)
UPDATE delivery SET destination = %(target)s FROM moved WHERE delivery.delivery_id = moved.delivery_id;
