-- Say up to where the spool's segments are known.
UPDATE known SET segment = %(segment)s, end_bytes = %(end_bytes)s;
