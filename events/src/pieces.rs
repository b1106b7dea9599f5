//! Parts of an order: so many of some of its lines, and how far each line has come.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::{MAX_LINES, Order, Rejection, State};

/// So many of some lines, each line named once. Empty stands for all that the event can mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces(BTreeMap<NonZeroU32, NonZeroU32>);

/// Why numbers make no [`Pieces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PiecesError {
    /// Lines are counted from 1.
    #[error("must name lines from 1")]
    LineZero,
    /// Nothing of a line is not worth saying.
    #[error("must have quantities of at least 1")]
    QuantityZero,
    /// Which of the two would count?
    #[error("must name line {0} only once")]
    LineTwice(u32),
    /// No order has so many.
    #[error("must name at most {MAX_LINES} lines, names {0}")]
    TooManyLines(usize),
}

impl Pieces {
    /// Puts lines, counted from 1, and quantities together.
    ///
    /// # Errors
    /// [`PiecesError`], the first.
    pub fn new(lines: impl IntoIterator<Item = (u32, u32)>) -> Result<Self, PiecesError> {
        let mut pieces = BTreeMap::new();
        for (line, quantity) in lines {
            let number = NonZeroU32::new(line).ok_or(PiecesError::LineZero)?;
            let quantity = NonZeroU32::new(quantity).ok_or(PiecesError::QuantityZero)?;
            if pieces.insert(number, quantity).is_some() {
                return Err(PiecesError::LineTwice(line));
            }
        }
        if pieces.len() > MAX_LINES {
            return Err(PiecesError::TooManyLines(pieces.len()));
        }
        Ok(Self(pieces))
    }

    /// Whether no line is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines, from 1 and in order, and how many of each.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().map(|(line, quantity)| (line.get(), quantity.get()))
    }
}

/// How far one line has come, in pieces. Of what was ordered at most all is shipped or named in refunds; of what was
/// shipped at most all is asked back; of that at most all is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineProgress {
    /// With the carrier or beyond.
    pub shipped: u32,
    /// Asked to come back, or back unasked.
    pub return_requested: u32,
    /// Back.
    pub returned: u32,
    /// Named in refunds.
    pub refunded: u32,
}

/// The progress of an order's lines, being moved.
pub(crate) struct Lines {
    /// The quantity ordered, and how far it has come.
    rows: Vec<(u32, LineProgress)>,
}

/// How far the lines are after a move, and whether it made something whole.
type Moved = (Vec<LineProgress>, bool);

impl Lines {
    pub(crate) fn of(order: &Order) -> Self {
        let lines = order.details.lines().iter().map(|line| line.quantity.get());
        let progress =
            order.progress.iter().copied().chain(std::iter::repeat(LineProgress::default()));
        Self { rows: lines.zip(progress).collect() }
    }

    /// Ships more of the lines, and says whether that was all. What is sent again after a failed delivery is not counted
    /// twice.
    pub(crate) fn ship(mut self, pieces: &Pieces, from: State) -> Result<Moved, Rejection> {
        let beyond = Rejection::ShipmentExceedsOrdered;
        if from == State::DeliveryFailed {
            self.advance(pieces, |_, line| line.shipped, |_, _| (), beyond)?;
        } else {
            let left = |ordered: u32, line: &LineProgress| ordered.saturating_sub(line.shipped);
            self.advance(
                pieces,
                left,
                |line, count| line.shipped = line.shipped.saturating_add(count),
                beyond,
            )?;
        }
        let whole = self.rows.iter().all(|(ordered, line)| line.shipped == *ordered);
        Ok((self.into_progress(), whole))
    }

    /// Asks some of what was shipped back.
    pub(crate) fn request_return(
        mut self,
        pieces: &Pieces,
    ) -> Result<Vec<LineProgress>, Rejection> {
        let left = |_, line: &LineProgress| line.shipped.saturating_sub(line.return_requested);
        let ask = |line: &mut LineProgress, count| {
            line.return_requested = line.return_requested.saturating_add(count)
        };
        self.advance(pieces, left, ask, Rejection::ReturnExceedsShipped)?;
        Ok(self.into_progress())
    }

    /// Takes some of what was shipped back, and says whether all is there that was to come back. What the carrier could
    /// not hand over is to come back whole.
    pub(crate) fn take_back(mut self, pieces: &Pieces, from: State) -> Result<Moved, Rejection> {
        if from == State::DeliveryFailed {
            for (_, line) in &mut self.rows {
                line.return_requested = line.shipped;
            }
        }
        let left = |_, line: &LineProgress| {
            let expected = if pieces.is_empty() { line.return_requested } else { line.shipped };
            expected.saturating_sub(line.returned)
        };
        let take = |line: &mut LineProgress, count| {
            line.returned = line.returned.saturating_add(count);
            line.return_requested = line.return_requested.max(line.returned);
        };
        self.advance(pieces, left, take, Rejection::ReturnExceedsShipped)?;
        let whole = self.rows.iter().all(|(_, line)| line.returned == line.return_requested);
        Ok((self.into_progress(), whole))
    }

    /// Names lines in a refund.
    pub(crate) fn refund(mut self, pieces: &Pieces) -> Result<Vec<LineProgress>, Rejection> {
        let left = |ordered: u32, line: &LineProgress| ordered.saturating_sub(line.refunded);
        let refund =
            |line: &mut LineProgress, count| line.refunded = line.refunded.saturating_add(count);
        self.advance(pieces, left, refund, Rejection::RefundExceedsOrdered)?;
        Ok(self.into_progress())
    }

    fn into_progress(self) -> Vec<LineProgress> {
        self.rows.into_iter().map(|(_, line)| line).collect()
    }

    /// Moves the named lines, or all that is left of each. `count` is never more than `left` says, so no sum saturates.
    fn advance(
        &mut self,
        pieces: &Pieces,
        left: impl Fn(u32, &LineProgress) -> u32,
        add: impl Fn(&mut LineProgress, u32),
        beyond: Rejection,
    ) -> Result<(), Rejection> {
        if pieces.is_empty() {
            let mut moved = false;
            for (ordered, line) in &mut self.rows {
                let count = left(*ordered, line);
                moved |= count > 0;
                add(line, count);
            }
            return if moved { Ok(()) } else { Err(beyond) };
        }
        for (number, count) in pieces.iter() {
            let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
            let (ordered, line) = self.rows.get_mut(index).ok_or(Rejection::UnknownLine)?;
            if count > left(*ordered, line) {
                return Err(beyond);
            }
            add(line, count);
        }
        Ok(())
    }
}
