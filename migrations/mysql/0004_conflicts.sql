-- What a row was like when HQ's version was last taken: a fingerprint, or `base` with the values.
SET @milkrun_ddl = (
    SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE milkrun_ledger ADD COLUMN local_hash bigint')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'milkrun_ledger' AND column_name = 'local_hash'
);
PREPARE milkrun_statement FROM @milkrun_ddl;
EXECUTE milkrun_statement;
DEALLOCATE PREPARE milkrun_statement;
-- Both sides of every decision. No version before this one wrote a line, so the table is made anew.
-- `told` is what an operator said, `resolved_at` when that, or the rule, was carried out.
DROP TABLE IF EXISTS milkrun_conflicts;
CREATE TABLE IF NOT EXISTS milkrun_conflicts (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    job varchar(140) NOT NULL,
    hq_name varchar(140) NOT NULL,
    local_key text,
    kind varchar(30) NOT NULL,
    hq_modified varchar(30),
    base longtext,
    hq longtext,
    local longtext,
    rule varchar(30) NOT NULL,
    run bigint,
    raised_at char(26) NOT NULL,
    hq_version bigint NOT NULL,
    local_version bigint NOT NULL,
    told varchar(10),
    resolved_at char(26),
    resolution varchar(30),
    KEY milkrun_conflicts_job (job, hq_name),
    KEY milkrun_conflicts_resolved_at (job, resolved_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
