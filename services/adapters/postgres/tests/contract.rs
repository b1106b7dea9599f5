//! The suites of the ports that the store implements.

use crate::schema::on_fresh_store;

contract::order_store!(on_fresh_store);
contract::delivery_store!(on_fresh_store);
contract::timer_store!(on_fresh_store);
contract::dead_letters!(on_fresh_store);
contract::audits!(on_fresh_store);
contract::generations!(on_fresh_store);
