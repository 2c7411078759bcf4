-- What a row was like when HQ's version was last taken: a fingerprint, or `base` with the values.
ALTER TABLE milkrun_ledger ADD COLUMN local_hash INTEGER;
-- Both sides of every decision. No version before this one wrote a line, so the table is made anew.
-- `told` is what an operator said, `resolved_at` when that, or the rule, was carried out.
DROP TABLE milkrun_conflicts;
CREATE TABLE milkrun_conflicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    local_key TEXT,
    kind TEXT NOT NULL,
    hq_modified TEXT,
    base TEXT,
    hq TEXT,
    local TEXT,
    rule TEXT NOT NULL,
    run INTEGER,
    raised_at TEXT NOT NULL,
    hq_version INTEGER NOT NULL,
    local_version INTEGER NOT NULL,
    told TEXT,
    resolved_at TEXT,
    resolution TEXT
);
CREATE INDEX milkrun_conflicts_job ON milkrun_conflicts (job, hq_name);
CREATE INDEX milkrun_conflicts_resolved_at ON milkrun_conflicts (job, resolved_at);
