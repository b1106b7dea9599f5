//! Progress of what goes through records, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle, style::TemplateError};

/// How far it is, of how much.
pub(crate) fn bar() -> Result<ProgressBar, TemplateError> {
    drawn("{wide_bar} {human_pos} of {human_len} records, {per_sec}, {eta} left")
}

/// How far it is, if no one knows of how much.
pub(crate) fn spinner() -> Result<ProgressBar, TemplateError> {
    drawn("{spinner} {human_pos} records, {per_sec}")
}

/// Draws nothing if stderr is no terminal.
fn drawn(template: &str) -> Result<ProgressBar, TemplateError> {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
