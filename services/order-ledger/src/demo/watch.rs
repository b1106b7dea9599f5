//! How many orders stand where, drawn anew in place on a terminal, one line a change elsewhere.

use std::{
    convert::Infallible,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};

use events::State;
use ports::OrderStore;
use tokio::time::sleep;

use crate::{Failure, demo::GLANCE, parts::Parts};

/// The widest bar, in characters.
const BAR: u64 = 40;

/// The table and what it last showed.
pub(crate) struct Watched {
    store: Arc<dyn OrderStore>,
    terminal: bool,
    shown: Option<Vec<(State, u64)>>,
    height: usize,
}

impl Watched {
    pub(crate) fn new(parts: &Parts) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { store: Arc::clone(&parts.orders), terminal, shown: None, height: 0 }
    }

    /// Shows every change; never ends but with an error.
    pub(crate) async fn follow(&mut self) -> Result<Infallible, Failure> {
        loop {
            self.show().await?;
            sleep(GLANCE).await;
        }
    }

    /// Shows what changed since the last time, if anything did.
    pub(crate) async fn show(&mut self) -> Result<(), Failure> {
        let stored = self.store.count_by_state().await?;
        let counts: Vec<(State, u64)> = State::ALL
            .into_iter()
            .map(|state| (state, stored.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n)))
            .collect();
        if self.shown.as_ref() == Some(&counts) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.terminal {
            // Up to where the table began, and clear what it covers.
            if self.height > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.height)?;
            }
            let table = bars(&counts);
            self.height = table.lines().count();
            write!(out, "{table}")?;
        } else {
            writeln!(out, "{}", line(&counts))?;
        }
        out.flush()?;
        self.shown = Some(counts);
        Ok(())
    }
}

/// A bar for every state of the demo's path, and for any other that holds orders.
fn bars(counts: &[(State, u64)]) -> String {
    const PATH: [State; 7] = [
        State::Placed,
        State::Paid,
        State::Preparing,
        State::Shipped,
        State::Delivered,
        State::Completed,
        State::Cancelled,
    ];
    let all: u64 = counts.iter().map(|(_, count)| count).sum::<u64>().max(1);
    let mut table = String::new();
    for (state, count) in counts.iter().filter(|(state, n)| *n > 0 || PATH.contains(state)) {
        let width = usize::try_from((count * BAR).div_ceil(all)).unwrap_or(0);
        // Writing to a String cannot fail.
        _ = writeln!(table, "{:>16} {count:>6}  {}", state.name(), "█".repeat(width));
    }
    table
}

fn line(counts: &[(State, u64)]) -> String {
    let held = counts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<_> = held.map(|(state, count)| format!("{} {count}", state.name())).collect();
    if parts.is_empty() { "no orders yet".to_owned() } else { parts.join("  ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_only_states_with_orders() {
        assert_eq!(line(&[(State::Placed, 2), (State::Paid, 0)]), "Placed 2");
        assert_eq!(line(&[(State::Placed, 0)]), "no orders yet");
    }

    #[test]
    fn the_longest_bar_is_bounded_and_one_order_is_seen() {
        let table = bars(&[(State::Placed, 1_000_000), (State::Paid, 1)]);
        let widths: Vec<_> = table.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(widths, [40, 1]);
    }
}
