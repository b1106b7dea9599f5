//! Mail over SMTP, and as `.eml` files in a folder.
//!
//! It owns how a mail is put together and what a mail server's answers mean. It never retries and never makes up a
//! Message-ID: the same mail is the same message every time, but for its date.

mod connections;
mod file;
mod message;
mod server;
mod smtp;

pub use file::FileMailer;
pub use message::Composer;
pub use smtp::SmtpMailer;
