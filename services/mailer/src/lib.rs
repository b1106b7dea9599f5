//! Writes one mail for each state change that customers hear of.
