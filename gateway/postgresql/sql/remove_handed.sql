-- Delete what was handed over and needs no answer any more.
DELETE FROM handed_instance WHERE handover_id IN (SELECT jsonb_array_elements_text(%(handovers)s::jsonb));
