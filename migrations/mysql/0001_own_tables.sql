-- milkrun's own tables. Moments are UTC text of fixed width, `YYYY-MM-DD HH:MM:SS.ffffff`, so that they sort as text
-- and read the same on every database; HQ's stamps are kept as HQ wrote them. HQ's names have at most 140 characters
-- and, compared by HQ, never differ in trailing spaces alone. DDL commits by itself here: IF NOT EXISTS lets a
-- migration that was cut off be run again.

-- How far each job has come.
CREATE TABLE IF NOT EXISTS milkrun_watermarks (
    job varchar(140) NOT NULL,
    stream varchar(30) NOT NULL,
    seen_modified varchar(30),
    seen_name varchar(140),
    seen_at char(26),
    settled_modified varchar(30),
    settled_name varchar(140),
    settled_as_of char(26),
    pass_modified varchar(30),
    pass_name varchar(140),
    pass_newest varchar(30),
    pass_started_at char(26),
    pass_is_repair bigint,
    mapping bigint,
    updated_at char(26) NOT NULL,
    PRIMARY KEY (job, stream)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What was last taken from HQ; `local_key` is null where it equals `hq_name`, which it mostly does.
CREATE TABLE IF NOT EXISTS milkrun_ledger (
    job varchar(140) NOT NULL,
    hq_name varchar(140) NOT NULL,
    local_key text,
    hq_modified varchar(30) NOT NULL,
    row_hash bigint NOT NULL,
    children_hash bigint NOT NULL,
    base longtext,
    PRIMARY KEY (job, hq_name),
    KEY milkrun_ledger_local_key (job, local_key(190))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- News that a record does not belong here: `absent` (left the filter, deleted), `buried` (a delete was processed).
CREATE TABLE IF NOT EXISTS milkrun_tombstones (
    job varchar(140) NOT NULL,
    kind varchar(30) NOT NULL,
    hq_name varchar(140) NOT NULL,
    hq_modified char(26) NOT NULL,
    noted_at char(26) NOT NULL,
    PRIMARY KEY (job, kind, hq_name),
    KEY milkrun_tombstones_hq_modified (job, kind, hq_modified)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The run log.
CREATE TABLE IF NOT EXISTS milkrun_runs (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    job varchar(140) NOT NULL,
    trigger_kind varchar(30) NOT NULL,
    started_at char(26) NOT NULL,
    ended_at char(26),
    status varchar(30) NOT NULL,
    fetched bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    unchanged bigint NOT NULL,
    deleted bigint NOT NULL,
    quarantined bigint NOT NULL,
    requests bigint NOT NULL,
    bytes bigint NOT NULL,
    retries bigint NOT NULL,
    watermark_before text,
    watermark_after text,
    error longtext,
    remedy longtext,
    KEY milkrun_runs_job (job, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Records that could not be mapped or written.
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
    PRIMARY KEY (job, hq_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Both sides of what was changed at both ends.
CREATE TABLE IF NOT EXISTS milkrun_conflicts (
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    job varchar(140) NOT NULL,
    hq_name varchar(140) NOT NULL,
    local_key text,
    base longtext,
    hq longtext,
    local longtext,
    rule varchar(30) NOT NULL,
    run bigint,
    raised_at char(26) NOT NULL,
    resolved_at char(26),
    resolution text,
    KEY milkrun_conflicts_job (job, hq_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who runs a job now; a lease past `expires_at` is anybody's.
CREATE TABLE IF NOT EXISTS milkrun_leases (
    job varchar(140) NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    expires_at char(26) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
