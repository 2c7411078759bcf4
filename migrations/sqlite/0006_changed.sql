-- Which run made a row, and which changed it last; null where a first load did. An index would cost every run: who asks
-- walks the ledger.
ALTER TABLE milkrun_ledger ADD COLUMN made_in INTEGER;
ALTER TABLE milkrun_ledger ADD COLUMN changed_in INTEGER;
ALTER TABLE milkrun_runs ADD COLUMN is_first_load INTEGER;

-- Rows that went, and keys that a row has no more: it then has `moved_to`. `local_key` is null where it is private.
CREATE TABLE milkrun_gone (
    job TEXT NOT NULL,
    hq_name TEXT NOT NULL,
    run INTEGER NOT NULL,
    local_key TEXT,
    moved_to TEXT,
    gone_at TEXT NOT NULL,
    PRIMARY KEY (job, hq_name, run)
) WITHOUT ROWID;
CREATE INDEX milkrun_gone_gone_at ON milkrun_gone (job, gone_at);
