-- Version 2: the local index. A row of `instance` with a series is an image of the index; the levels above keep their
-- attributes as JSON: hexadecimal tag → text or texts, `tag=` → the folded groups of each name, `tag@` → times in UTC.
ALTER TABLE instance ADD COLUMN series_key INTEGER; -- NULL: not in the index
ALTER TABLE instance ADD COLUMN attributes TEXT NOT NULL DEFAULT ''; -- of the image level
ALTER TABLE instance ADD COLUMN is_current INTEGER NOT NULL DEFAULT 0; -- 1: the newest indexed one of its SOP Instance UID

CREATE INDEX instance_by_series ON instance (series_key, is_current) WHERE series_key IS NOT NULL;

-- Those that the index keeps may have a longer retention: each kind has its own broom.
DROP INDEX instance_by_settled_at;
CREATE INDEX instance_by_settled_at ON instance (settled_at) WHERE settled_at IS NOT NULL AND series_key IS NULL;
CREATE INDEX instance_indexed_by_settled_at ON instance (settled_at)
WHERE settled_at IS NOT NULL AND series_key IS NOT NULL;

CREATE TABLE patient (
    patient_key INTEGER PRIMARY KEY AUTOINCREMENT,
    attributes TEXT NOT NULL,
    patient_id TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100020"', '')) STORED,
    of_study TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."0020000D"', '')) STORED, -- without a patient ID
    issuer_of_patient_id TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100021"', '')) STORED,
    birth_date TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100030"', '')) STORED,
    alphabetic_name TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100010="[0][0]', '')) STORED,
    ideographic_name TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100010="[0][1]', '')) STORED,
    phonetic_name TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00100010="[0][2]', '')) STORED
) STRICT;

-- Senders that share a patient ID for two people must not have one answered with the other's name.
CREATE UNIQUE INDEX patient_by_patient_id
ON patient (patient_id, issuer_of_patient_id, alphabetic_name, birth_date, of_study);
CREATE INDEX patient_by_alphabetic_name ON patient (alphabetic_name);
CREATE INDEX patient_by_ideographic_name ON patient (ideographic_name) WHERE ideographic_name <> '';
CREATE INDEX patient_by_phonetic_name ON patient (phonetic_name) WHERE phonetic_name <> '';

CREATE TABLE study (
    study_key INTEGER PRIMARY KEY AUTOINCREMENT,
    patient_key INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."0020000D"', '')) STORED,
    study_date TEXT NOT NULL GENERATED ALWAYS AS ( -- empty when it is no date
        CASE WHEN replace(attributes ->> '$."00080020"', '.', '') GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'
        THEN replace(attributes ->> '$."00080020"', '.', '') ELSE '' END
    ) STORED,
    accession_number TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00080050"', '')) STORED
) STRICT;

CREATE UNIQUE INDEX study_by_study_instance_uid ON study (study_instance_uid, patient_key);
CREATE INDEX study_by_patient ON study (patient_key);
CREATE INDEX study_by_study_date ON study (study_date);
CREATE INDEX study_by_accession_number ON study (accession_number) WHERE accession_number <> '';

CREATE TABLE series (
    series_key INTEGER PRIMARY KEY AUTOINCREMENT,
    study_key INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."0020000E"', '')) STORED,
    modality TEXT NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '$."00080060"', '')) STORED
) STRICT;

CREATE UNIQUE INDEX series_by_series_instance_uid ON series (series_instance_uid, study_key);
CREATE INDEX series_by_study ON series (study_key);
