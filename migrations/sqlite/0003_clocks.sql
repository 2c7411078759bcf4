-- HQ's own clock (`Date`) beside the outlet's, when the two were last found to disagree, and the zone that HQ named.
-- Null in rows of before: HQ's clock is then taken to have agreed with the outlet's.
ALTER TABLE milkrun_watermarks ADD COLUMN seen_at_hq TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN settled_as_of_hq TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN unsteady_at TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN unsteady_at_hq TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN zone TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN zone_is_told INTEGER;
ALTER TABLE milkrun_watermarks ADD COLUMN zone_asked_at TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN zone_asked_at_hq TEXT;
ALTER TABLE milkrun_watermarks ADD COLUMN pass_started_at_hq TEXT;
