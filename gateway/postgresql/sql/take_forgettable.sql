-- Those of these instances that this transaction may forget. It waits for nobody: what another one works on is left for
-- later, be it the instance, its SOP Instance UID where there are others of it ("DGW3", "DGW4"), or one of the rows that may go
-- with it.
WITH mine AS MATERIALIZED (
    SELECT instance.instance_id, instance.sop_instance_uid, instance.association_id, instance.series_key
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted
    JOIN instance ON instance.instance_id = wanted::bigint AND instance.settled_at IS NOT NULL
    FOR UPDATE OF instance SKIP LOCKED
), above AS MATERIALIZED (
    SELECT DISTINCT series_key, study_key, patient_key
    FROM mine JOIN series USING (series_key) JOIN study USING (study_key)
), free_patient AS MATERIALIZED (
    SELECT patient_key FROM patient WHERE patient_key IN (SELECT patient_key FROM above) FOR UPDATE SKIP LOCKED
), free_study AS MATERIALIZED (
    SELECT study_key FROM study WHERE study_key IN (SELECT study_key FROM above) FOR UPDATE SKIP LOCKED
), free_series AS MATERIALIZED (
    SELECT series_key FROM series WHERE series_key IN (SELECT series_key FROM above) FOR UPDATE SKIP LOCKED
), free_association AS MATERIALIZED (
    SELECT association_id FROM association WHERE association_id IN (SELECT association_id FROM mine)
    FOR UPDATE SKIP LOCKED
), free AS MATERIALIZED (
    SELECT instance_id, sop_instance_uid FROM mine
    WHERE association_id IN (SELECT association_id FROM free_association)
        AND (series_key IS NULL OR series_key IN (
            SELECT series_key FROM above JOIN free_patient USING (patient_key) JOIN free_study USING (study_key)
            JOIN free_series USING (series_key)))
), busy AS MATERIALIZED (
    SELECT instance_id FROM (
        SELECT instance_id, sop_instance_uid FROM free
        WHERE EXISTS (SELECT 1 FROM instance AS other WHERE other.sop_instance_uid = free.sop_instance_uid
                      AND other.instance_id <> free.instance_id)
        OFFSET 0
    ) AS with_others
    WHERE NOT (pg_try_advisory_xact_lock_shared(1145525044, hashtext(current_schema()))
               AND pg_try_advisory_xact_lock(1145525043, hashtext(current_schema() || ' ' || sop_instance_uid)))
)
SELECT coalesce(json_agg(instance_id ORDER BY instance_id), '[]') FROM free
WHERE instance_id NOT IN (SELECT instance_id FROM busy);
