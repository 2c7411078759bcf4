-- The comparing of all of HQ with all of the ledger. `walk`: the one under way, as JSON; `values_*`: how far whole
-- records have been compared, from where the next one goes on; `report`: what the last one came to, as JSON.
CREATE TABLE milkrun_reconciles (
    job text COLLATE "C" NOT NULL PRIMARY KEY,
    walk text,
    values_modified text COLLATE "C",
    values_name text COLLATE "C",
    report text
);

-- Which database this is, whose, and how often a process has begun to run jobs in it; one row.
CREATE TABLE milkrun_instance (
    id bigint NOT NULL PRIMARY KEY,
    token text COLLATE "C" NOT NULL,
    site text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL
);
