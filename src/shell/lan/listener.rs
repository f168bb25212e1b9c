//! Listening at one port of one or more addresses.

use super::dial::socket;
use super::interface::is_any;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Streams that wait in the system for us to accept them.
const BACKLOG: u32 = 64;
/// At most one stream is accepted in this time (32 a second): a flood waits in the backlog and costs us nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(31);
/// When the system refuses (no file handles left), it is asked again after this.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);
/// A port drawn for the first address may be taken at the second: then another one is drawn, so often.
const PORT_DRAWS: u32 = 8;

/// Open sockets that share a port; dropping it closes them, and leaves alone what was accepted.
pub(super) struct Listener {
    /// The port.
    pub port: u16,
    _accepting: JoinSet<()>,
}

impl Listener {
    /// Listens at `port` (0: a free one) of these addresses (none: all of this machine) and hands over what comes.
    pub fn open(bind: &[IpAddr], port: u16, accepted: &mpsc::Sender<TcpStream>) -> io::Result<Self> {
        let mut draws = 0;
        loop {
            let opened = if is_any(bind) && bind != [IpAddr::V4(Ipv4Addr::UNSPECIFIED)] {
                // One socket for both families; a system without IPv6 gets one for IPv4.
                listen(&[Ipv6Addr::UNSPECIFIED.into()], port).or_else(|_| listen(&[Ipv4Addr::UNSPECIFIED.into()], port))
            } else {
                listen(bind, port)
            };
            draws += 1;
            match opened {
                Ok((port, sockets)) => {
                    let mut accepting = JoinSet::new();
                    for socket in sockets {
                        accepting.spawn(accept(socket, accepted.clone()));
                    }
                    return Ok(Self { port, _accepting: accepting });
                }
                Err(error) if port == 0 && draws < PORT_DRAWS && error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn listen(bind: &[IpAddr], mut port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let mut sockets = Vec::with_capacity(bind.len());
    for &ip in bind {
        let socket = socket(ip)?;
        if ip.is_ipv6() {
            SockRef::from(&socket).set_only_v6(!ip.is_unspecified())?;
        }
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(ip, port))?;
        port = socket.local_addr()?.port();
        sockets.push(socket.listen(BACKLOG)?);
    }
    Ok((port, sockets))
}

async fn accept(socket: TcpListener, accepted: mpsc::Sender<TcpStream>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                if accepted.send(stream).await.is_err() {
                    return;
                }
                sleep(ACCEPT_PAUSE).await;
            }
            Err(_) => sleep(ACCEPT_RETRY).await,
        }
    }
}
