-- 1 where the run never began, as another one of the job was going on: it says nothing of how the job stands.
-- DDL commits by itself here: the step looks whether it was taken before.
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_runs ADD COLUMN never_began bigint')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_runs' AND column_name = 'never_began'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;
