-- The tables of one ledger, as in migrations/postgres. Instants are microseconds since 1970 UTC, ids are text.

CREATE TABLE progress (
    partition        INTEGER PRIMARY KEY CHECK (partition >= 0),
    next_offset      INTEGER NOT NULL DEFAULT 0,
    announced_offset INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT progress_in_order CHECK (0 <= announced_offset AND announced_offset <= next_offset)
) STRICT;

CREATE TABLE orders (
    order_id        TEXT PRIMARY KEY,
    state           TEXT NOT NULL,
    version         INTEGER NOT NULL CHECK (version > 0),
    currency        TEXT NOT NULL,
    total_minor     INTEGER NOT NULL,
    captured_minor  INTEGER NOT NULL,
    refunded_minor  INTEGER NOT NULL,
    region          TEXT NOT NULL,
    customer_email  TEXT NOT NULL,
    payment_gateway TEXT NOT NULL,
    anomalies       INTEGER NOT NULL,
    placed_at       INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    partition       INTEGER NOT NULL,
    "offset"        INTEGER NOT NULL,
    snapshot        BLOB NOT NULL,
    CONSTRAINT orders_state CHECK (state IN (
        'Placed', 'Paid', 'PaymentFailed', 'Preparing', 'Shipped', 'Delivered', 'DeliveryFailed', 'Completed',
        'Cancelled', 'ReturnRequested', 'Returned', 'Refunded'
    ))
) STRICT;

CREATE TABLE order_history (
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    order_id    TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 0),
    event_id    TEXT NOT NULL,
    event       TEXT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('applied', 'rejected', 'duplicate')),
    from_state  TEXT,
    to_state    TEXT,
    reason      TEXT,
    recorded    INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    actor       TEXT,
    record      BLOB NOT NULL,
    PRIMARY KEY (partition, "offset")
) STRICT;
CREATE INDEX order_history_order ON order_history (order_id);

CREATE TABLE deliveries (
    order_id      TEXT NOT NULL,
    version       INTEGER NOT NULL,
    template      TEXT NOT NULL,
    status        TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'failed')),
    due_at        INTEGER NOT NULL,
    claimed_until INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    last_error    TEXT,
    finished_at   INTEGER,
    state_change  BLOB NOT NULL,
    PRIMARY KEY (order_id, version, template)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';

CREATE TABLE timers (
    order_id      TEXT NOT NULL,
    kind          TEXT NOT NULL,
    version       INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    claimed_until INTEGER,
    amount_minor  INTEGER,
    currency      TEXT,
    PRIMARY KEY (order_id, kind),
    CONSTRAINT timers_amount CHECK ((amount_minor IS NULL) = (currency IS NULL))
) STRICT;
CREATE INDEX timers_due ON timers (due_at);

CREATE TABLE timer_versions (
    order_id TEXT PRIMARY KEY,
    version  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    consumer    TEXT NOT NULL,
    topic       TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    dead_since  INTEGER NOT NULL,
    appended_at INTEGER,
    key         BLOB,
    value       BLOB,
    -- As in the log.
    headers     BLOB NOT NULL,
    PRIMARY KEY (consumer, topic, partition, "offset")
) STRICT;
