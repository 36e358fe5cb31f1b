-- Until this transaction ends nobody else adds these SOP Instance UIDs ("DGW3"; many of them are locked as one, "DGW4", for
-- the server has room for some thousand locks) or forgets these rows of the index and these associations:
-- [UIDs, patients, studies, series, associations] that are there.
SELECT json_build_array(
    (CASE WHEN jsonb_array_length(%(sop_instance_uids)s::jsonb) > 512
        THEN (SELECT count(pg_advisory_xact_lock(1145525044, hashtext(current_schema()))))
        ELSE (SELECT count(pg_advisory_xact_lock_shared(1145525044, hashtext(current_schema())))) + (
            SELECT count(pg_advisory_xact_lock(1145525043, number)) FROM (
                SELECT DISTINCT hashtext(current_schema() || ' ' || arrived) AS number
                FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
                ORDER BY number) AS each)
    END),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT patient_key AS key FROM patient WHERE patient_key = ANY(%(patient)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT study_key AS key FROM study WHERE study_key = ANY(%(study)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT series_key AS key FROM series WHERE series_key = ANY(%(series)s::bigint[])
        FOR KEY SHARE) AS held),
    (SELECT coalesce(json_agg(key), '[]') FROM (
        SELECT association_id AS key FROM association WHERE association_id = ANY(%(association)s::bigint[])
        FOR KEY SHARE) AS held)
);
