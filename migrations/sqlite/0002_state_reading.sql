-- Orders in pages, newest placed first, also by region and by customer, as in migrations/postgres.
CREATE INDEX orders_newest ON orders (placed_at, order_id);
CREATE INDEX orders_of_region ON orders (region, placed_at, order_id);
CREATE INDEX orders_of_customer ON orders (customer_email, placed_at, order_id);

-- The history of an order in pages, and one event of it, without reading the rest of it.
DROP INDEX order_history_order;
CREATE INDEX order_history_order ON order_history (order_id, "offset", event_id);
