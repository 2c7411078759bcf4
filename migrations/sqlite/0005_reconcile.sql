-- The comparing of all of HQ with all of the ledger. `walk`: the one under way, as JSON; `values_*`: how far whole
-- records have been compared, from where the next one goes on; `report`: what the last one came to, as JSON.
CREATE TABLE milkrun_reconciles (
    job TEXT NOT NULL PRIMARY KEY,
    walk TEXT,
    values_modified TEXT,
    values_name TEXT,
    report TEXT
) WITHOUT ROWID;

-- Which database this is, whose, and how often a process has begun to run jobs in it; one row.
CREATE TABLE milkrun_instance (
    id INTEGER NOT NULL PRIMARY KEY,
    token TEXT NOT NULL,
    site TEXT NOT NULL,
    epoch INTEGER NOT NULL
);
