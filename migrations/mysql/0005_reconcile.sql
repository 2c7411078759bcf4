-- The comparing of all of HQ with all of the ledger. `walk`: the one under way, as JSON; `values_*`: how far whole
-- records have been compared, from where the next one goes on; `report`: what the last one came to, as JSON.
-- DDL commits by itself here: IF NOT EXISTS lets a migration that was cut off be run again.
CREATE TABLE IF NOT EXISTS milkrun_reconciles (
    job varchar(140) NOT NULL,
    walk longtext,
    values_modified varchar(30),
    values_name varchar(140),
    report longtext,
    PRIMARY KEY (job)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Which database this is, whose, and how often a process has begun to run jobs in it; one row.
CREATE TABLE IF NOT EXISTS milkrun_instance (
    id bigint NOT NULL,
    token varchar(64) NOT NULL,
    site varchar(190) NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
