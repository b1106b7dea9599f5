-- Which version of the fold made what is stored; a program of another one goes no further with it.
ALTER TABLE progress ADD COLUMN fold_version integer NOT NULL DEFAULT 1;

-- The states of the ledger that were built from the log: the live one, in these tables, and those beside it, each in a
-- schema of its own.
CREATE TABLE generations (
    number         integer PRIMARY KEY CHECK (number > 0),
    stage          text NOT NULL CHECK (stage IN ('loading', 'ready', 'live', 'retired')),
    fold_version   integer NOT NULL,
    -- Built to be looked at: no replay makes it live unless it is told to.
    kept           boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    -- When it became live, and where each partition stood.
    live_at        timestamptz,
    live_offsets   bigint[],
    -- The search index is to follow.
    search_pending boolean NOT NULL DEFAULT false,
    -- What whoever watches wants of the replay that builds it.
    wanted         text NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'cancel')),
    -- What that replay last said of itself.
    report         text
);
CREATE UNIQUE INDEX generations_live ON generations (stage) WHERE stage = 'live';
INSERT INTO generations (number, stage, fold_version, kept, created_at) VALUES (1, 'live', 1, false, now());
