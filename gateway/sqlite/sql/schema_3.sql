-- Up to where the spool's segments are known; what stands behind is told to the queue at the next start.
CREATE TABLE known (
    segment TEXT NOT NULL,
    end_bytes INTEGER NOT NULL,
    touched INTEGER NOT NULL -- changes, so that there is something to sync
) STRICT;
INSERT INTO known VALUES ('', 0, 0);
