-- What the daemon says of itself: which version of sync.toml is in force, and what keeps a newer one from it, as JSON.
-- One row; `holder` is the process.
CREATE TABLE milkrun_daemon (
    id bigint NOT NULL PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    state text NOT NULL
);

-- The mapping by which each job last read everything, as JSON: what an edit changes is told by it.
CREATE TABLE milkrun_mappings (
    job text COLLATE "C" NOT NULL PRIMARY KEY,
    outline text NOT NULL
);
