-- The queue of a gateway with schema 1: seven instances, one of them under a lease, one delivered, one dead.
PRAGMA application_id = 1145526065;
PRAGMA user_version = 1;
CREATE TABLE association (
    association_id INTEGER PRIMARY KEY AUTOINCREMENT,
    facts TEXT NOT NULL
) STRICT;
INSERT INTO "association" VALUES(1,'{"calling_ae_title":"CT1","called_ae_title":"GATEWAY","remote_host":"10.1.2.3","remote_port":40123,"listener":"main","association_id":"a1"}');
CREATE TABLE attempt (
    delivery_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER,
    duration_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempt" VALUES(1,1,1772366400000000,250000,'delivered',NULL,'');
INSERT INTO "attempt" VALUES(3,1,1772366400000000,250000,'dead',43264,'0xA900');
CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL,
    destination TEXT NOT NULL,
    rule TEXT NOT NULL,
    actions_json TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'held')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- under a lease: when the lease ends
    ready_at INTEGER, -- under a lease: when it was due before
    leased_until INTEGER, -- NULL: under no lease
    lease INTEGER NOT NULL DEFAULT 0, -- fencing token: grows with every claim
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO "delivery" VALUES(1,1,'pacs','everything','','delivered',1,1772366400000000,1772366400000000,NULL,NULL,1,'');
INSERT INTO "delivery" VALUES(2,1,'vna','everything','','pending',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
INSERT INTO "delivery" VALUES(3,2,'pacs','everything','','dead',1,1772366400000000,1772366400000000,NULL,NULL,1,'0xA900');
INSERT INTO "delivery" VALUES(4,3,'pacs','everything','','pending',0,1772366400000000,1772366460000000,1772366400000000,1772366460000000,1,'');
INSERT INTO "delivery" VALUES(5,3,'vna','everything','','pending',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
INSERT INTO "delivery" VALUES(6,4,'pacs','everything','','pending',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
INSERT INTO "delivery" VALUES(7,5,'pacs','everything','','pending',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
INSERT INTO "delivery" VALUES(8,5,'vna','everything','','pending',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
INSERT INTO "delivery" VALUES(9,6,'','unmatched','','held',0,1772366400000000,1772366400000000,NULL,NULL,0,'');
CREATE TABLE instance (
    instance_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    association_id INTEGER NOT NULL,
    payload_name TEXT NOT NULL,
    payload_offset INTEGER NOT NULL,
    payload_length INTEGER NOT NULL,
    payload_digest BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    settled_at INTEGER -- when its last delivery was delivered or discarded; NULL while it owes something
) STRICT;
INSERT INTO "instance" VALUES(1,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.1','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',1128,10,X'DC7EC1893E854DF1FCD7EB328A84567626644E375E6D841D9A5720103E9F78B1',1772366400000000,NULL);
INSERT INTO "instance" VALUES(2,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.2','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',2128,10,X'42092525109054F5F31A6E1C5CA3156D8AF75CD7CDF2D9031BBE6E580EB39FAC',1772366400000000,NULL);
INSERT INTO "instance" VALUES(3,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.3','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',3128,10,X'412367059B8C0D1EF3CC312921704F0A01083A7EE9E5A9DAC5237EE5E62A82AA',1772366400000000,NULL);
INSERT INTO "instance" VALUES(4,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.4','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',4128,10,X'6BF95BE9C43D0FCB381031AEAFC8517356F438B8944C4BEB6AA8B354B30817AC',1772366400000000,NULL);
INSERT INTO "instance" VALUES(5,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.5','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',5128,10,X'82D746EF5084A8F9F8174AB0513B39855DDB7078C9A3BEE91881332D289F1427',1772366400000000,NULL);
INSERT INTO "instance" VALUES(6,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.6','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',6128,10,X'1943B7D8755482FC121EF3E361EEA4D472BD3855BD80B38B9360173B4F914703',1772366400000000,NULL);
INSERT INTO "instance" VALUES(7,'1.2.840.10008.5.1.4.1.1.2','1.2.3.4.5.7','1.2.840.10008.1.2.1','1.2.3.4','1.2.3.4.5',1,'segments/00000001.seg',7128,10,X'75815A81A847C488058F0F184E5B96868B0028D03D7199B5473A4092D1B7C05D',1772366400000000,1772366400000000);
CREATE TABLE spool (spool_id TEXT NOT NULL) STRICT;
INSERT INTO "spool" VALUES('spool-1');
CREATE INDEX instance_by_sop_instance_uid ON instance (sop_instance_uid);
CREATE INDEX instance_by_payload ON instance (payload_name, payload_offset);
CREATE INDEX instance_by_association ON instance (association_id);
CREATE INDEX instance_by_settled_at ON instance (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX delivery_owed ON delivery (destination, state, due_at) WHERE state <> 'delivered';
CREATE INDEX delivery_by_instance ON delivery (instance_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('association',1);
INSERT INTO "sqlite_sequence" VALUES('instance',7);
INSERT INTO "sqlite_sequence" VALUES('delivery',9);
