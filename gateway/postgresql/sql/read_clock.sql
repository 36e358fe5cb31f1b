-- The queue's time as it was last written, and the wall clock's.
SELECT queue_time, wall_time FROM clock;
