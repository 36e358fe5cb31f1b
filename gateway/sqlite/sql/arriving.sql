-- Objects of these studies are on their way in: open collections of them are quiet later. Each row changes once a second at most.
UPDATE collection SET last_arrival_at = :now
WHERE study_instance_uid IN (SELECT value FROM json_each(:study_instance_uids)) AND state = 'open'
    AND last_arrival_at <= :now - 1000000;
