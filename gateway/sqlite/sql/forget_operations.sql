-- Only the newest of what operators did are kept.
DELETE FROM operation WHERE operation_id <= :last;
