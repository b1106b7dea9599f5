//! For tests: handles on real servers, sample orders, waiting for conditions, faulty ports.
