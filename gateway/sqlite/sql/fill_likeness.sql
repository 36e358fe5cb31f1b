-- Rows of a database from before version 7.
UPDATE delivery
SET likeness = likeness(instance.sop_class_uid, instance.transfer_syntax_uid,
                        coalesce((SELECT association.facts ->> '$.calling_ae_title' FROM association
                                  WHERE association.association_id = instance.association_id), ''),
                        instance.study_instance_uid)
FROM instance
WHERE delivery.state <> 'delivered' AND delivery.likeness = 0 AND instance.instance_id = delivery.instance_id;
