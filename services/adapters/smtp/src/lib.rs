//! Mail over SMTP, and as .eml files.
