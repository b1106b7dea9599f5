-- The tables of one ledger. No name is qualified: everything comes into being in the connection's schema.

-- How far each partition of orders.events is folded. Its rows say how many partitions there are, once and for all.
CREATE TABLE progress (
    partition        integer PRIMARY KEY CHECK (partition >= 0),
    -- Every record below is accounted for.
    next_offset      bigint NOT NULL DEFAULT 0,
    -- The state changes of every record below are acknowledged by orders.state-changed.
    announced_offset bigint NOT NULL DEFAULT 0,
    CONSTRAINT progress_in_order CHECK (0 <= announced_offset AND announced_offset <= next_offset)
)
-- Few rows that change with every batch: room to change them in place.
WITH (fillfactor = 10);

-- What each order is: the fold of its events. The columns are for people; the snapshot is what the program reads.
CREATE TABLE orders (
    order_id        uuid PRIMARY KEY,
    state           text NOT NULL,
    version         bigint NOT NULL CHECK (version > 0),
    currency        text NOT NULL,
    total_minor     bigint NOT NULL,
    captured_minor  bigint NOT NULL,
    refunded_minor  bigint NOT NULL,
    region          text NOT NULL,
    customer_email  text NOT NULL,
    payment_gateway text NOT NULL,
    -- Facts that did not fit: a person must look.
    anomalies       bigint NOT NULL,
    placed_at       timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    -- The last record that counted.
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    snapshot        bytea NOT NULL,
    CONSTRAINT orders_state CHECK (state IN (
        'Placed', 'Paid', 'PaymentFailed', 'Preparing', 'Shipped', 'Delivered', 'DeliveryFailed', 'Completed',
        'Cancelled', 'ReturnRequested', 'Returned', 'Refunded'
    ))
)
-- An order moves a few times: no column that moves is indexed, so its row is replaced within its page.
WITH (fillfactor = 80);
-- Orders come in about as time goes by: a summary of each range of pages is enough, and costs nearly nothing.
CREATE INDEX orders_placed_at ON orders USING brin (placed_at) WITH (autosummarize = on);
-- Few, and looked for by people.
CREATE INDEX orders_with_anomalies ON orders (order_id) WHERE anomalies > 0;

-- What became of each record of orders.events that could be read: one row a record, never changed.
CREATE TABLE order_history (
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    order_id    uuid NOT NULL,
    -- The order's version afterwards; 0 if the order is unknown.
    version     bigint NOT NULL CHECK (version >= 0),
    event_id    uuid NOT NULL,
    event       text NOT NULL,
    outcome     text NOT NULL,
    -- Equal unless it was applied; none if there was no order.
    from_state  text,
    to_state    text,
    -- Why it was rejected.
    reason      text,
    -- Whether the version counts it, and a state change is announced for it.
    recorded    boolean NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor       text,
    -- The record's value as logged.
    record      bytea NOT NULL,
    PRIMARY KEY (partition, "offset"),
    CONSTRAINT order_history_outcome CHECK (CASE outcome
        WHEN 'applied' THEN to_state IS NOT NULL AND reason IS NULL AND recorded
        WHEN 'rejected' THEN reason IS NOT NULL
        WHEN 'duplicate' THEN to_state IS NOT NULL AND reason IS NULL AND NOT recorded
        ELSE false
    END)
);
CREATE INDEX order_history_order ON order_history (order_id);

-- One row for every mail that is to be sent, claimed before sending.
CREATE TABLE deliveries (
    order_id      uuid NOT NULL,
    version       bigint NOT NULL,
    template      text NOT NULL,
    status        text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'failed')),
    due_at        timestamptz NOT NULL,
    -- No other sender touches it until then.
    claimed_until timestamptz,
    attempts      integer NOT NULL DEFAULT 0,
    last_error    text,
    -- When it was sent, or failed for good.
    finished_at   timestamptz,
    state_change  bytea NOT NULL,
    PRIMARY KEY (order_id, version, template)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_failed ON deliveries (finished_at) WHERE status = 'failed';

-- Events that will be appended unless their order moves first.
CREATE TABLE timers (
    order_id      uuid NOT NULL,
    kind          text NOT NULL,
    version       bigint NOT NULL,
    due_at        timestamptz NOT NULL,
    claimed_until timestamptz,
    amount_minor  bigint,
    currency      text,
    PRIMARY KEY (order_id, kind),
    CONSTRAINT timers_amount CHECK ((amount_minor IS NULL) = (currency IS NULL))
);
CREATE INDEX timers_due ON timers (due_at);

-- The newest version of each order that set timers, or set none: what comes later than a newer one is passed over.
CREATE TABLE timer_versions (
    order_id uuid PRIMARY KEY,
    version  bigint NOT NULL
);

-- Records that could not be read, or were refused for good, with all their bytes.
CREATE TABLE dead_letters (
    consumer      text NOT NULL,
    topic         text NOT NULL,
    partition     integer NOT NULL,
    "offset"      bigint NOT NULL,
    reason        text NOT NULL,
    detail        text NOT NULL,
    dead_since    timestamptz NOT NULL,
    appended_at   timestamptz,
    key           bytea,
    value         bytea,
    -- Names and values belong together by their place.
    header_names  bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    PRIMARY KEY (consumer, topic, partition, "offset")
);
