-- milkrun's own tables. Moments are UTC text of fixed width, `YYYY-MM-DD HH:MM:SS.ffffff`, so that they sort as text;
-- HQ's stamps are kept as HQ wrote them.

-- How far each job has come.
CREATE TABLE milkrun_watermarks (
    job TEXT NOT NULL,
    stream TEXT NOT NULL,
    seen_modified TEXT,
    seen_name TEXT,
    seen_at TEXT,
    settled_modified TEXT,
    settled_name TEXT,
    settled_as_of TEXT,
    pass_modified TEXT,
    pass_name TEXT,
    pass_newest TEXT,
    pass_started_at TEXT,
    pass_is_repair INTEGER,
    mapping INTEGER,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (job, stream)
) WITHOUT ROWID;

-- What was last taken from HQ; `local_key` is null where it equals `hq_name`, which it mostly does.
CREATE TABLE milkrun_ledger (
    job TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    local_key TEXT,
    hq_modified TEXT NOT NULL,
    row_hash INTEGER NOT NULL,
    children_hash INTEGER NOT NULL,
    base TEXT,
    PRIMARY KEY (job, hq_name)
) WITHOUT ROWID;
CREATE INDEX milkrun_ledger_local_key ON milkrun_ledger (job, local_key) WHERE local_key IS NOT NULL;

-- News that a record does not belong here: `absent` (left the filter, deleted), `buried` (a delete was processed).
CREATE TABLE milkrun_tombstones (
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    hq_modified TEXT NOT NULL,
    noted_at TEXT NOT NULL,
    PRIMARY KEY (job, kind, hq_name)
) WITHOUT ROWID;
CREATE INDEX milkrun_tombstones_hq_modified ON milkrun_tombstones (job, kind, hq_modified);

-- The run log.
CREATE TABLE milkrun_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    status TEXT NOT NULL,
    fetched INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    watermark_before TEXT,
    watermark_after TEXT,
    error TEXT,
    remedy TEXT
);
CREATE INDEX milkrun_runs_job ON milkrun_runs (job, id);

-- Records that could not be mapped or written.
CREATE TABLE milkrun_quarantine (
    job TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    payload TEXT NOT NULL,
    reason TEXT NOT NULL,
    tries INTEGER NOT NULL,
    hq_modified TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    next_at TEXT,
    PRIMARY KEY (job, hq_name)
) WITHOUT ROWID;

-- Both sides of what was changed at both ends.
CREATE TABLE milkrun_conflicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    local_key TEXT,
    base TEXT,
    hq TEXT,
    local TEXT,
    rule TEXT NOT NULL,
    run INTEGER,
    raised_at TEXT NOT NULL,
    resolved_at TEXT,
    resolution TEXT
);
CREATE INDEX milkrun_conflicts_job ON milkrun_conflicts (job, hq_name);

-- Who runs a job now; a lease past `expires_at` is anybody's.
CREATE TABLE milkrun_leases (
    job TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;
