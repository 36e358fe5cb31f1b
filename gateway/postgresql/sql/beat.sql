-- Write that a node lives.
INSERT INTO node (instance, name, version, configuration, host, pid, state, destinations, started_at, seen_at)
VALUES (%(instance)s, %(node_name)s, %(version)s, %(configuration)s, %(host)s, %(pid)s, %(state)s, %(destinations)s::jsonb,
        %(started_at)s, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT (instance) DO UPDATE SET
    configuration = excluded.configuration, state = excluded.state, destinations = excluded.destinations,
    seen_at = excluded.seen_at;
