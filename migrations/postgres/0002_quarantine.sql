-- Parked records wait for rows of other tables: `awaits` lists them as JSON.
ALTER TABLE milkrun_quarantine ADD COLUMN awaits text;
CREATE INDEX milkrun_quarantine_next_at ON milkrun_quarantine (job, next_at);
