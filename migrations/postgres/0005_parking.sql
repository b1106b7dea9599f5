-- The head of the chain over every record below next_offset.
ALTER TABLE progress ADD COLUMN digest bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
    CONSTRAINT progress_digest CHECK (length(digest) = 32);

-- What that head was at some places on the way, for whoever looks for the record that was changed afterwards.
CREATE TABLE checkpoints (
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    digest      bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (partition, next_offset)
);

-- Events that wait because a record of their order before them could not be read.
ALTER TABLE order_history DROP CONSTRAINT order_history_outcome;
ALTER TABLE order_history ADD CONSTRAINT order_history_outcome CHECK (CASE outcome
    WHEN 'applied' THEN to_state IS NOT NULL AND reason IS NULL AND recorded
    WHEN 'rejected' THEN reason IS NOT NULL
    WHEN 'duplicate' THEN to_state IS NOT NULL AND reason IS NULL AND NOT recorded
    WHEN 'parked' THEN reason IS NULL AND NOT recorded
    ELSE false
END) NOT VALID;

ALTER TABLE dead_letters
    -- The order that waits for a decision.
    ADD COLUMN parks uuid,
    ADD COLUMN status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retry', 'discard', 'discarded'));
-- Few, and asked for with every batch.
CREATE INDEX dead_letters_parking ON dead_letters (parks) WHERE parks IS NOT NULL;
CREATE INDEX dead_letters_wanted ON dead_letters (consumer) WHERE status IN ('retry', 'discard');
