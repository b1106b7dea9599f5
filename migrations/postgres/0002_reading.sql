-- Orders in pages, newest placed first, also by region and by customer. None of these columns ever changes, so moving an
-- order still touches no index; only placing one does.
DROP INDEX orders_placed_at;
CREATE INDEX orders_newest ON orders (placed_at, order_id);
CREATE INDEX orders_of_region ON orders (region, placed_at, order_id);
CREATE INDEX orders_of_customer ON orders (customer_email, placed_at, order_id);
