-- Remember the queue's time.
INSERT INTO clock (one, queue_time, wall_time) VALUES (1, %(queue_time)s, %(wall_time)s)
ON CONFLICT (one) DO UPDATE SET queue_time = excluded.queue_time, wall_time = excluded.wall_time;
