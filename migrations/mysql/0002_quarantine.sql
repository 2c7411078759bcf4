-- Parked records wait for rows of other tables: `awaits` lists them as JSON. No version before this one parked a record,
-- so the table is made anew: MySQL knows no ADD COLUMN IF NOT EXISTS.
DROP TABLE IF EXISTS milkrun_quarantine;
CREATE TABLE IF NOT EXISTS milkrun_quarantine (
    job varchar(140) NOT NULL,
    hq_name varchar(140) NOT NULL,
    payload longtext NOT NULL,
    reason longtext NOT NULL,
    tries bigint NOT NULL,
    hq_modified varchar(30) NOT NULL,
    first_at char(26) NOT NULL,
    last_at char(26) NOT NULL,
    next_at char(26),
    awaits longtext,
    PRIMARY KEY (job, hq_name),
    KEY milkrun_quarantine_next_at (job, next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
