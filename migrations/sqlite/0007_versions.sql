-- What the daemon says of itself: which version of sync.toml is in force, and what keeps a newer one from it, as JSON.
-- One row; `holder` is the process.
CREATE TABLE milkrun_daemon (
    id INTEGER NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    state TEXT NOT NULL
);

-- The mapping by which each job last read everything, as JSON: what an edit changes is told by it.
CREATE TABLE milkrun_mappings (
    job TEXT NOT NULL PRIMARY KEY,
    outline TEXT NOT NULL
) WITHOUT ROWID;
