//! `order-ledger dead-letters`: an order waits for a decision on a record that can't be read, and goes on.
