-- 1 where the run never began, as another one of the job was going on: it says nothing of how the job stands.
ALTER TABLE milkrun_runs ADD COLUMN never_began INTEGER;
