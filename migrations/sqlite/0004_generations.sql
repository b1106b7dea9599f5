-- As in migrations/postgres; a generation beside the live one is a file of its own. Instants in microseconds.
ALTER TABLE progress ADD COLUMN fold_version INTEGER NOT NULL DEFAULT 1;

CREATE TABLE generations (
    number         INTEGER PRIMARY KEY CHECK (number > 0),
    stage          TEXT NOT NULL CHECK (stage IN ('loading', 'ready', 'live', 'retired')),
    fold_version   INTEGER NOT NULL,
    kept           INTEGER NOT NULL CHECK (kept IN (0, 1)),
    created_at     INTEGER NOT NULL,
    live_at        INTEGER,
    -- A JSON array.
    live_offsets   TEXT,
    search_pending INTEGER NOT NULL DEFAULT 0 CHECK (search_pending IN (0, 1)),
    wanted         TEXT NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'cancel')),
    report         TEXT
) STRICT;
CREATE UNIQUE INDEX generations_live ON generations (stage) WHERE stage = 'live';
INSERT INTO generations (number, stage, fold_version, kept, created_at)
    VALUES (1, 'live', 1, 0, unixepoch() * 1000000);
