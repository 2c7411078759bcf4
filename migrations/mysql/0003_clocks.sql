-- HQ's own clock (`Date`) beside the outlet's, when the two were last found to disagree, and the zone that HQ named.
-- Null in rows of before: HQ's clock is then taken to have agreed with the outlet's.
-- DDL commits by itself here, and MySQL knows no ADD COLUMN IF NOT EXISTS: the columns are added unless a migration that
-- was cut off has done so.
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_watermarks
     ADD COLUMN seen_at_hq char(26),
     ADD COLUMN settled_as_of_hq char(26),
     ADD COLUMN unsteady_at char(26),
     ADD COLUMN unsteady_at_hq char(26),
     ADD COLUMN zone varchar(64),
     ADD COLUMN zone_is_told bigint,
     ADD COLUMN zone_asked_at char(26),
     ADD COLUMN zone_asked_at_hq char(26),
     ADD COLUMN pass_started_at_hq char(26)')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_watermarks' AND column_name = 'seen_at_hq'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;
