-- Those among these groups that an instance names.
SELECT wanted FROM jsonb_array_elements_text(%(names)s::jsonb) AS wanted
WHERE EXISTS (SELECT 1 FROM instance WHERE payload_name = wanted);
