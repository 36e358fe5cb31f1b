-- Patients that fit, in order of arrival. `{filter}` and `{below}` are conjunctions that `query_sql.py` makes of a query.
SELECT coalesce(json_agg(patient_key), '[]') FROM (
    SELECT patient.patient_key FROM patient
    WHERE {filter} AND {below}
    ORDER BY patient.patient_key LIMIT %(limit)s
) AS found;
