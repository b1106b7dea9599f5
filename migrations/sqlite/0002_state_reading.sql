-- Orders in pages, newest placed first, also by region and by customer, as in migrations/postgres.
CREATE INDEX orders_newest ON orders (placed_at, order_id);
CREATE INDEX orders_of_region ON orders (region, placed_at, order_id);
CREATE INDEX orders_of_customer ON orders (customer_email, placed_at, order_id);
