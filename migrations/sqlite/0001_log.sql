-- The event log of one data folder.

-- Partitions, made once and for all.
CREATE TABLE partitions (
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Records as they were appended, never changed.
CREATE TABLE records (
    topic          TEXT NOT NULL,
    partition      INTEGER NOT NULL,
    "offset"       INTEGER NOT NULL,
    appended_at_ms INTEGER NOT NULL,
    key            BLOB NOT NULL,
    value          BLOB NOT NULL,
    -- Each a name and a value, both with their length (4 bytes, big-endian) before them.
    headers        BLOB NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
) STRICT, WITHOUT ROWID;

-- The next offset that each group wants to read.
CREATE TABLE group_offsets (
    "group"     TEXT NOT NULL,
    topic       TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY ("group", topic, partition)
) STRICT, WITHOUT ROWID;
