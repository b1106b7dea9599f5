//! A record's headers as one blob: each name and value with its length (4 bytes, big-endian) before it.

use bytes::{Buf as _, BufMut as _, Bytes};
use ports::Header;

use crate::database::Error;

pub(crate) fn encode(headers: &[Header]) -> Vec<u8> {
    let mut blob = Vec::new();
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            // A record is far smaller than 4 GiB.
            blob.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            blob.put_slice(part);
        }
    }
    blob
}

pub(crate) fn decode(blob: Vec<u8>) -> Result<Vec<Header>, Error> {
    let mut rest = Bytes::from(blob);
    let mut headers = Vec::new();
    while rest.has_remaining() {
        let name = part(&mut rest).and_then(|name| String::from_utf8(name.into()).ok());
        match (name, part(&mut rest)) {
            (Some(name), Some(value)) => headers.push((name, value)),
            _ => return Err(Error::Corrupt("a record's headers can't be read".to_owned())),
        }
    }
    Ok(headers)
}

fn part(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_damage_is_told() {
        let headers = vec![
            ("a".to_owned(), Bytes::from_static(b"")),
            ("a".to_owned(), Bytes::from_static(b"\x00\xff")),
        ];
        let blob = encode(&headers);
        assert_eq!(decode(blob.clone()).unwrap(), headers);
        for end in 1..blob.len() {
            // Cut between two headers it still reads, as fewer.
            assert!(decode(blob[..end].to_vec()).map_or(true, |read| read.len() < 2), "{end}");
        }
    }
}
