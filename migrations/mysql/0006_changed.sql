-- Which run made a row, and which changed it last; null where a first load did. An index would cost every run: who asks
-- walks the ledger. DDL commits by itself here: each step looks whether it was taken before.
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_ledger ADD COLUMN made_in bigint')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_ledger' AND column_name = 'made_in'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_ledger ADD COLUMN changed_in bigint')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_ledger' AND column_name = 'changed_in'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_runs ADD COLUMN is_first_load bigint')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_runs' AND column_name = 'is_first_load'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;

-- Rows that went, and keys that a row has no more: it then has `moved_to`. `local_key` is null where it is private.
CREATE TABLE IF NOT EXISTS milkrun_gone (
    job varchar(140) NOT NULL,
    hq_name varchar(140) NOT NULL,
    run bigint NOT NULL,
    local_key text,
    moved_to text,
    gone_at char(26) NOT NULL,
    PRIMARY KEY (job, hq_name, run),
    KEY milkrun_gone_gone_at (job, gone_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
