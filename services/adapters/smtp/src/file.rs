//! A folder instead of a mail server: one `.eml` file a mail, which any mail program opens.

use std::{
    fmt, fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use ports::{Clock, Mail, MailError, Mailer};

use crate::message::Composer;

/// A [`Mailer`] into a folder. A file is named after its Message-ID, so the same mail again is the same file.
pub struct FileMailer {
    composer: Composer,
    folder: PathBuf,
}

impl fmt::Debug for FileMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMailer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FileMailer {
    /// Makes a mailer into `folder`, which is created with the first mail.
    ///
    /// # Errors
    /// [`MailError::Refused`] if the sender can't be used.
    pub fn new(folder: &Path, from: &str, clock: Arc<dyn Clock>) -> Result<Self, MailError> {
        Ok(Self { composer: Composer::new(from, clock)?, folder: folder.to_owned() })
    }
}

#[async_trait]
impl Mailer for FileMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?.formatted();
        let name = file_name(&mail.message_id);
        on_disk(&self.folder, move |folder| write(folder, &name, &message)).await
    }

    async fn ping(&self) -> Result<(), MailError> {
        on_disk(&self.folder, |folder| fs::create_dir_all(folder)).await
    }
}

/// Runs file operations where they may block.
async fn on_disk(
    folder: &Path,
    operation: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
) -> Result<(), MailError> {
    let owned = folder.to_owned();
    let done = tokio::task::spawn_blocking(move || operation(&owned)).await;
    done.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).map_err(|error| {
        let text = format!("folder {}: {error}", folder.display());
        match error.kind() {
            io::ErrorKind::InvalidFilename => MailError::Refused(text),
            _ => MailError::Transient(text),
        }
    })
}

/// Whole or not at all, also if the machine stops: written aside and synced, then renamed, then the folder synced.
fn write(folder: &Path, name: &str, message: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut aside = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    aside.write_all(message)?;
    aside.as_file().sync_all()?;
    aside.persist(folder.join(name))?;
    sync(folder)
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder can't be opened as a file, and renames are kept without.
#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The id where every file system takes it; other characters become `%` and their code. No two ids share a name.
fn file_name(message_id: &str) -> String {
    let mut name = String::with_capacity(message_id.len() + ".eml".len());
    for byte in message_id.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"-_@+=".contains(&byte)
            || byte == b'.' && !name.is_empty()
        {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + ".eml"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_mail() {
        for (id, name) in [
            ("0193.3.shipped@example.com", "0193.3.shipped@example.com.eml"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.eml"),
            ("a%b", "a%25b.eml"),
            (".", "%2E.eml"),
        ] {
            assert_eq!(file_name(id), name);
        }
    }
}
