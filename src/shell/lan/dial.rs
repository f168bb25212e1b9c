//! Opening TCP streams: the first of several addresses that answers, in the manner of RFC 8305 (happy eyeballs), and the socket
//! options that every link has.

use super::ADDRESSES_MAX;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Each address has this head start over the next (RFC 8305 section 5 asks for 100 ms to 2 s).
const STAGGER: Duration = Duration::from_millis(300);
/// All addresses together have so long to answer.
const DIAL_TIME_MAX: Duration = Duration::from_secs(3);
/// The system's own buffers, per direction: with its defaults several megabytes would hide behind our bounded queue.
const SOCKET_BYTES: u32 = 128 * 1024;
/// A link on which nothing arrived for so long is probed …
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// … again and again …
const PROBE_EVERY: Duration = Duration::from_secs(3);
/// … and is dead if this many go unanswered: 19 s in all.
const PROBES: u32 = 3;
/// Bytes that nobody acknowledges for so long end the link, too (Linux; it also ends the probing above, at the third probe).
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(18);

/// Dials the addresses in order, each a moment after the one before or as soon as that one has failed; `None` if none answers in
/// time. At most [`ADDRESSES_MAX`] are tried. `from` are the addresses we listen at, if they were chosen.
pub(super) async fn first_to_answer(addresses: Vec<SocketAddr>, from: Vec<IpAddr>) -> Option<TcpStream> {
    timeout(DIAL_TIME_MAX, race(addresses, &from)).await.ok().flatten()
}

async fn race(addresses: Vec<SocketAddr>, from: &[IpAddr]) -> Option<TcpStream> {
    let mut waiting = addresses.into_iter().take(ADDRESSES_MAX);
    let mut attempts = JoinSet::new();
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            attempts.spawn(connect(address, source(address, from)));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(stream))) => return Some(stream),
                Some(_) => {}
                None if is_last => return None,
                None => {}
            },
            () = sleep(STAGGER), if !is_last => {}
        }
    }
}

async fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = socket(address.ip())?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    // On one machine, dialling a port where nobody listens can by chance come from that very port and so reach itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// The chosen address from which `address` can be reached: a neighbour then sees us dial from where it sees us listen.
fn source(address: SocketAddr, from: &[IpAddr]) -> Option<IpAddr> {
    let alike = |ip: &&IpAddr| ip.is_ipv4() == address.is_ipv4() && ip.is_loopback() == address.ip().is_loopback();
    from.iter().filter(|ip| !ip.is_unspecified()).find(alike).copied()
}

/// A socket for links of this address' family, not yet connected or listening.
pub(super) fn socket(ip: IpAddr) -> io::Result<TcpSocket> {
    let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BYTES)?;
    Ok(socket)
}

/// Sets what a standing link needs: cells leave at once, and a peer that vanished is noticed within 20 s. A system that lacks an
/// option loses that comfort, not the link.
pub(super) fn configure(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_dialled_from_the_loopback_address_we_listen_at() {
        let from: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "127.4.5.6".parse().unwrap()];
        assert_eq!(source("127.0.0.9:4000".parse().unwrap(), &from), Some(from[1]));
        assert_eq!(source("192.0.2.7:4000".parse().unwrap(), &from), Some(from[0]));
        assert_eq!(source("[fe80::1]:4000".parse().unwrap(), &from), None);
    }
}
