-- The sessions of the server that hold a lock of a gateway: process, begin, host of the client, whether it is shared.
SELECT held.pid, activity.backend_start, coalesce(host(activity.client_addr), 'this machine'), held.mode = 'ShareLock'
FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid::bigint = %(space)s
    AND held.objid::bigint = (hashtext(current_schema() || %(of)s)::bigint & 4294967295);
