-- As in migrations/postgres.
ALTER TABLE progress ADD COLUMN digest BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(digest) = 32);

CREATE TABLE checkpoints (
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (partition, next_offset)
) STRICT, WITHOUT ROWID;

ALTER TABLE dead_letters ADD COLUMN parks TEXT;
ALTER TABLE dead_letters ADD COLUMN status TEXT NOT NULL DEFAULT 'open'
    CHECK (status IN ('open', 'retry', 'discard', 'discarded'));
CREATE INDEX dead_letters_parking ON dead_letters (parks) WHERE parks IS NOT NULL;
CREATE INDEX dead_letters_wanted ON dead_letters (consumer) WHERE status IN ('retry', 'discard');

-- A check can't be changed in place: the table is made anew.
CREATE TABLE order_history_with_parked (
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    order_id    TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 0),
    event_id    TEXT NOT NULL,
    event       TEXT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('applied', 'rejected', 'duplicate', 'parked')),
    from_state  TEXT,
    to_state    TEXT,
    reason      TEXT,
    recorded    INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    actor       TEXT,
    record      BLOB NOT NULL,
    PRIMARY KEY (partition, "offset")
) STRICT;
INSERT INTO order_history_with_parked SELECT * FROM order_history;
DROP TABLE order_history;
ALTER TABLE order_history_with_parked RENAME TO order_history;
CREATE INDEX order_history_order ON order_history (order_id, "offset", event_id);
