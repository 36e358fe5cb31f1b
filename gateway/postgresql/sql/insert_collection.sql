-- A generation begins with its first object.
INSERT INTO collection (collected_key, patient, generation, name, study_instance_uid, series_instance_uid, terms, state,
                        opened_at, last_arrival_at, at_most_at, not_before_at, deadline_at, flag, institution)
VALUES (%(collected_key)s, %(patient)s, %(generation)s, %(definition)s, %(study_instance_uid)s, %(series_instance_uid)s, %(terms)s, 'open',
        %(now)s, %(now)s, %(at_most_at)s, 0, %(deadline_at)s, %(flag)s, %(institution)s)
RETURNING collection_id;
