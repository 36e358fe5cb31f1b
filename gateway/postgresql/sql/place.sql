-- Where a payload name leads in the object store.
SELECT object_name, offset_bytes FROM sealed_group WHERE payload_name = %(payload)s;
