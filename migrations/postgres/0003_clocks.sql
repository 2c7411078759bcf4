-- HQ's own clock (`Date`) beside the outlet's, when the two were last found to disagree, and the zone that HQ named.
-- Null in rows of before: HQ's clock is then taken to have agreed with the outlet's.
ALTER TABLE milkrun_watermarks
    ADD COLUMN seen_at_hq text COLLATE "C",
    ADD COLUMN settled_as_of_hq text COLLATE "C",
    ADD COLUMN unsteady_at text COLLATE "C",
    ADD COLUMN unsteady_at_hq text COLLATE "C",
    ADD COLUMN zone text COLLATE "C",
    ADD COLUMN zone_is_told bigint,
    ADD COLUMN zone_asked_at text COLLATE "C",
    ADD COLUMN zone_asked_at_hq text COLLATE "C",
    ADD COLUMN pass_started_at_hq text COLLATE "C";
