//! `alcove relay`: the command line of the blind relay.

use super::mailbox::Limits;
use super::server::{Options, Relay, RelayError};
use super::tls::Identity;
use crate::proto::config::RELAY_BLOB_BYTES;
use clap::Args as ClapArgs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run the blind relay: sealed blobs of one size, kept for hours, for people who are not in one place yet.
///
/// The relay learns no name, no talk, no size and no number of seats. It keeps what anyone puts into a mailbox (a 16-byte name) and gives
/// it to whoever shows the 32-byte key of which the name is a hash. It writes no log of addresses or mailboxes.
///
/// When it stands it prints one line: its address and, with TLS, the hash of its certificate. Put both into the event pack
/// (`alcove event`). Stop it with Ctrl-C or SIGTERM; it then finishes what is under way.
#[derive(ClapArgs, Clone, Debug)]
#[command(after_help = "\
Examples:
  alcove relay --listen 0.0.0.0:7878 --store /var/lib/alcove --tls-self-signed
      An event's relay. The certificate is made once and kept in the store, so the pin stays.
  alcove relay --listen 127.0.0.1:0
      To try things out: in memory, no TLS, a free port.
  curl http://HOST:PORT/metrics
      Counts for Prometheus. Packs are served from STORE/packs/<sha256 in hex> at /v1/pack/<sha256 in hex>.")]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,

    /// Folder for blobs and packs. Without it blobs live in memory and are gone when the relay stops.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,

    /// Certificate chain in PEM, the relay's own first. Devices check its hash, not its name or date.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Make a certificate; with --store it is made once and kept there.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,

    /// How much all mailboxes may hold together, in MiB. A blob has 4 KiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub capacity_mib: u32,

    /// How many blobs one mailbox may hold.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub mailbox_blobs: u32,

    /// How many connections may stand at the same time.
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,

    /// How many requests per second one connection may make; four seconds' worth may come at once.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_second: u32,
}

impl Args {
    fn options(self) -> Options {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(Identity::Files { certificate, key }),
            _ => self.tls_self_signed.then(|| Identity::SelfSigned { folder: self.store.clone() }),
        };
        let limits = Limits {
            mailbox_blobs_max: self.mailbox_blobs as usize,
            blobs_max: (self.capacity_mib as usize) * (1 << 20) / RELAY_BLOB_BYTES,
        };
        Options {
            listen: self.listen,
            store: self.store,
            tls,
            limits,
            connections_max: self.connections as usize,
            requests_per_second: self.requests_per_second,
            ..Options::default()
        }
    }
}

/// Runs the relay until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`RelayError`]: a sentence that says which option to change.
pub async fn run(args: Args) -> Result<(), RelayError> {
    let connections = args.connections;
    allow_open_files(u64::from(connections) + 64);
    let relay = Relay::bind(args.options()).await?;
    match relay.tls_pin() {
        Some(pin) => println!("alcove relay listens on wss://{} certificate sha256 {pin}", relay.local_addr()),
        None => println!("alcove relay listens on ws://{} without TLS", relay.local_addr()),
    }
    relay.run(stop_signal()).await
}

/// Each connection is an open file, and the usual limit of 1,024 is below ours. If the system says no, fewer connections come in.
fn allow_open_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        relay: Args,
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.relay.options())
    }

    #[test]
    fn the_command_line_says_what_it_means() {
        let options = parse("relay --listen 0.0.0.0:0 --store s --tls-self-signed --capacity-mib 1 --mailbox-blobs 9").unwrap();
        assert_eq!(options.tls, Some(Identity::SelfSigned { folder: Some("s".into()) }));
        assert_eq!(options.limits, Limits { mailbox_blobs_max: 9, blobs_max: 256 });
        assert!(parse("relay --tls-cert only").is_err());
        assert!(parse("relay --tls-cert a --tls-key b --tls-self-signed").is_err());
        assert!(parse("relay --requests-per-second 0").is_err());
    }
}
