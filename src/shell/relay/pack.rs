//! Fetches an event pack from a relay by its hash: one HTTP/1.1 request (RFC 9112) over the way that [`Endpoint`] opens.
//!
//! Law: what is returned has the asked hash; whoever answers, no more than [`PACK_BYTES_MAX`] and a head is ever read.

use super::address::{AddressInvalid, ConnectError, Endpoint, RelayAddress};
use super::hex;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The largest pack a relay serves: a programme of several hundred sessions with its floor plan.
pub const PACK_BYTES_MAX: usize = 256 * 1024;

const HEAD_BYTES_MAX: usize = 4 * 1024;
/// The whole exchange; as long as a relay lets a plain connection live.
const FETCH_MAX: Duration = Duration::from_secs(120);

/// Why there is no pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressInvalid),
    /// No way there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The relay does not have it.
    #[error("the relay does not have this event's pack: ask the organizer for the current code")]
    Absent,
    /// What came is not what the hash names.
    #[error("the relay gave something else than this event's pack: ask the organizer")]
    Wrong,
    /// The connection broke or the answer took too long.
    #[error("the connection broke while the event's pack was loading: try again")]
    Broken,
}

/// The pack with this SHA-256.
///
/// # Errors
/// [`FetchError`]: each variant says what to do.
pub async fn fetch_pack(address: &RelayAddress, sha256: [u8; 32]) -> Result<Vec<u8>, FetchError> {
    let endpoint = address.endpoint()?;
    let pack = timeout(FETCH_MAX, exchange(&endpoint, &sha256)).await.map_err(|_| FetchError::Broken)??;
    if Sha256::digest(&pack)[..] == sha256 { Ok(pack) } else { Err(FetchError::Wrong) }
}

async fn exchange(endpoint: &Endpoint, sha256: &[u8; 32]) -> Result<Vec<u8>, FetchError> {
    let mut stream = endpoint.connect().await?;
    let hash = hex::print(sha256);
    let request = format!("GET /v1/pack/{hash} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|_| FetchError::Broken)?;
    stream.flush().await.map_err(|_| FetchError::Broken)?;
    answer(stream).await
}

async fn answer(stream: impl AsyncRead + Unpin) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let mut stream = stream.take((HEAD_BYTES_MAX + PACK_BYTES_MAX) as u64);
    let (body_at, length) = loop {
        if let Some(head) = find_head(&bytes) {
            break read_head(head).map(|length| (head.len() + 4, length))?;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(FetchError::Wrong);
        }
        if stream.read_buf(&mut bytes).await.map_err(|_| FetchError::Broken)? == 0 {
            return Err(FetchError::Broken);
        }
    };
    while bytes.len() < body_at + length {
        if stream.read_buf(&mut bytes).await.map_err(|_| FetchError::Broken)? == 0 {
            return Err(FetchError::Broken);
        }
    }
    Ok(bytes[body_at..body_at + length].to_vec())
}

fn find_head(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    bytes.get(..end)
}

/// The body's length, if the head says that the pack follows in one piece.
fn read_head(head: &[u8]) -> Result<usize, FetchError> {
    let mut lines = std::str::from_utf8(head).map_err(|_| FetchError::Wrong)?.split("\r\n");
    match lines.next().and_then(|status| status.strip_prefix("HTTP/1.1 ")).and_then(|status| status.get(..3)) {
        Some("200") => {}
        Some("404") => return Err(FetchError::Absent),
        Some("429" | "503") => return Err(FetchError::Broken),
        Some(_) | None => return Err(FetchError::Wrong),
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok());
    length.filter(|length| *length <= PACK_BYTES_MAX).ok_or(FetchError::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Vec<u8>, FetchError> {
        answer(bytes).await
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_length_and_never_beyond_the_cap() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npackmore").await.as_deref(), Ok(&b"pack"[..]));
        assert_eq!(read(b"HTTP/1.1 404 Not Found\r\n\r\n").await, Err(FetchError::Absent));
        let too_long = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PACK_BYTES_MAX + 1);
        for wrong in
            [too_long.as_bytes(), b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0\r\n\r\n", b"\xff\r\n\r\n", &[b'x'; 3 * HEAD_BYTES_MAX]]
        {
            assert_eq!(read(wrong).await, Err(FetchError::Wrong));
        }
        for broken in [&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npack"[..], b"HTTP/1.1 2", b""] {
            assert_eq!(read(broken).await, Err(FetchError::Broken));
        }
    }
}
