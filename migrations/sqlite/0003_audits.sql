-- How far each partition was audited, as in migrations/postgres.
CREATE TABLE audits (
    partition      INTEGER PRIMARY KEY REFERENCES progress,
    audited_offset INTEGER NOT NULL CHECK (audited_offset >= 0),
    unaccounted    INTEGER NOT NULL CHECK (unaccounted >= 0)
) STRICT;
