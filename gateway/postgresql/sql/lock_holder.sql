-- The session of the server that holds this schema's lock of a gateway: its process, its client's host, its begin.
SELECT held.pid, coalesce(host(activity.client_addr), 'this machine'), activity.backend_start
FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid::bigint = 1145525041 -- "DGW1"
    AND held.objid::bigint = (hashtext(current_schema())::bigint & 4294967295);
