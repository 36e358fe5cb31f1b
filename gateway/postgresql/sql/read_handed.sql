-- The bytes of an instance that was handed over.
SELECT payload FROM handed_instance WHERE handover_id = %(handover_id)s;
