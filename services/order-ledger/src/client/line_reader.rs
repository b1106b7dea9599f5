//! Lines of a file of any size: one is held at a time, and none longer than an order can be.

use std::io::{self, BufRead, Read as _};

use crate::client::order_file::OrderFileError;

/// The server takes no request above gRPC's customary 4 MiB; JSON is somewhat longer.
const LINE_BYTES_MAX: u64 = 8 << 20;

/// Reads line by line.
pub(crate) struct LineReader<R> {
    reader: R,
    line: u64,
    bytes: u64,
}

/// A line that is not blank.
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// How much of the file was read, with this line.
    pub(crate) bytes_read: u64,
    pub(crate) text: Result<String, OrderFileError>,
}

impl<R: BufRead> LineReader<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { reader, line: 0, bytes: 0 }
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut bytes = Vec::new();
            if self.read_part(&mut bytes)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let text = if ended(&bytes) {
                String::from_utf8(bytes)
                    .map_err(|_| OrderFileError::whole("is not UTF-8".to_owned()))
            } else {
                self.skip_to_end(bytes)?;
                let why = format!("is longer than {LINE_BYTES_MAX} bytes");
                Err(OrderFileError::whole(why))
            };
            if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                continue;
            }
            return Ok(Some(Line { number: self.line, bytes_read: self.bytes, text }));
        }
    }

    /// Up to the end of the line, but no more than the most that is held.
    fn read_part(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', bytes)?;
        self.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(read)
    }

    fn skip_to_end(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        while !ended(&bytes) {
            bytes.clear();
            self.read_part(&mut bytes)?;
        }
        Ok(())
    }
}

/// Whether a part is the end of its line: the line's end, or the file's.
fn ended(part: &[u8]) -> bool {
    part.ends_with(b"\n") || u64::try_from(part.len()).is_ok_and(|length| length < LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut lines = LineReader::new(text);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.number, line.text.map_err(|error| error.description)));
        }
        assert_eq!(lines.bytes, u64::try_from(text.len()).unwrap());
        all
    }

    #[test]
    fn blank_lines_count_but_are_not_orders() {
        let lines = read(b"\n{}\r\n  \n{");
        assert_eq!(lines, [(2, Ok("{}\r\n".to_owned())), (4, Ok("{".to_owned()))]);
    }

    #[test]
    fn a_bad_line_does_not_hide_the_next() {
        let max = usize::try_from(LINE_BYTES_MAX).unwrap();
        for length in [max, max + 1, 2 * max] {
            let mut text = vec![b'x'; length];
            text.extend_from_slice(b"\n\xff\nnext");
            let lines = read(&text);
            assert!(lines[0].1.as_ref().unwrap_err().contains("longer"), "{length}");
            assert_eq!(lines[1], (2, Err("is not UTF-8".to_owned())));
            assert_eq!(lines[2], (3, Ok("next".to_owned())));
        }
    }
}
