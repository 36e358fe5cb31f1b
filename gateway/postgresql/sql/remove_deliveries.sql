-- Deliveries that are put back as they were, or that an operation made.
WITH gone AS (
    DELETE FROM due WHERE delivery_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint)
)
DELETE FROM delivery WHERE delivery_id = ANY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)::bigint);
