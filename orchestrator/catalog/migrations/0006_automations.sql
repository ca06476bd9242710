-- Schedules and sensors are called automations, in columns too. Views keep the names of older versions for `sql`.

ALTER TABLE instigators RENAME TO automations;
ALTER TABLE run_keys RENAME COLUMN instigator TO automation;
ALTER TABLE ticks RENAME COLUMN instigator TO automation;
ALTER TABLE ticks RENAME TO tick_rows;

CREATE VIEW ticks AS SELECT *, automation AS instigator FROM tick_rows;
CREATE VIEW instigators AS SELECT * FROM automations;
