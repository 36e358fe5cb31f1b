-- Up to where the spool's segments are known.
SELECT segment, end_bytes FROM known;
