-- A generation begins with its first object.
INSERT INTO collection (collected_key, patient, generation, name, study_instance_uid, series_instance_uid, terms, state,
                        opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, flag, institution)
VALUES (:collected_key, :patient, :generation, :definition, :study_instance_uid, :series_instance_uid, :terms, 'open',
        :now, :now, :at_most_at, 0, :deadline_at, :flag, :institution)
RETURNING collection_id;
