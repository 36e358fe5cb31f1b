-- Version 4: the queue's own time, in which all times of deliveries and `settled_at` are (`gateway.common.steady_clock`), and what
-- the wall clock showed then. A file that comes from before goes on where it was last used.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    queue_time INTEGER NOT NULL,
    wall_time INTEGER NOT NULL
) STRICT;
INSERT INTO clock (one, queue_time, wall_time)
SELECT 1, latest, latest FROM (
    SELECT max(coalesce((SELECT max(created_at) FROM delivery), 0),
               coalesce((SELECT max(settled_at) FROM instance), 0),
               coalesce((SELECT max(received_at) FROM instance), 0)) AS latest
) WHERE latest > 0;
