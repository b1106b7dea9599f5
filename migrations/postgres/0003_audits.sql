-- How far each partition was audited: whether every record below has its row in the history or is a dead letter.
CREATE TABLE audits (
    partition      integer PRIMARY KEY REFERENCES progress,
    audited_offset bigint NOT NULL CHECK (audited_offset >= 0),
    -- Records of the log below it that have neither.
    unaccounted    bigint NOT NULL CHECK (unaccounted >= 0)
);
