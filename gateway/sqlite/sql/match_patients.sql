-- Patients that fit, in order of arrival. `{filter}` and `{below}` are conjunctions that `query_sql.py` makes of a query.
SELECT json_group_array(patient_key) FROM (
    SELECT patient.patient_key FROM patient
    WHERE {filter} AND {below}
    ORDER BY patient.patient_key LIMIT :limit
);
