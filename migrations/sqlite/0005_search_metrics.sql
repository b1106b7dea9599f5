-- One row an interval, a process and a series: appended once, never changed, deleted when it is old.
CREATE TABLE metrics (
    -- In the order of appending.
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    node        TEXT NOT NULL,
    -- The interval's end.
    ended_at_ms INTEGER NOT NULL,
    -- The whole document as JSON.
    document    TEXT NOT NULL
) STRICT;
CREATE INDEX metrics_by_age ON metrics (ended_at_ms);
