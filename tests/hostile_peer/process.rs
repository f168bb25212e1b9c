//! The relay as a program under TLS: what a crowd that finished its handshakes costs is read from the system, because both ends of TLS in
//! one process could not be told apart.

use crate::resident::resident;
use crate::world::{put, read_key, subscribe};
use crate::{PEER_BYTES_MAX, alone, within};
use alcove::proto::config::RELAY_MESSAGE_BYTES;
use alcove::shell::relay::message::{SUBSCRIPTIONS_MAX, encode_command};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CROWD: usize = 300;
/// What the system gives a program beside what it asks for: pages of stacks and of what was freed, and the relay's own work. A crowd
/// that costs a third more than it may is seen all the same.
const MARGIN_BYTES: usize = CROWD * PEER_BYTES_MAX / 3;

/// A relay that ends with the test.
struct Relay {
    child: Child,
    address: String,
}

impl Relay {
    fn start() -> Relay {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alcove"));
        command.args(["relay", "--listen", "127.0.0.1:0", "--tls-self-signed", "--requests-per-second", "1000000"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("wss://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address").to_owned();
        Relay { child, address }
    }

    /// A device under TLS with a small buffer of its own, which has asked for a WebSocket.
    async fn connect(&self, config: &TlsConnector) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let tcp = within("a stream", socket.connect(self.address.parse().unwrap())).await.unwrap();
        let name = ServerName::try_from("relay.invalid").unwrap();
        let mut stream = within("TLS", config.connect(name, tcp)).await.unwrap();
        stream.write_all(super::relay::UPGRADE.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("an answer", stream.read_u8()).await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        stream
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn say(stream: &mut TlsStream<TcpStream>, command: alcove::proto::io::RelayCommand) {
    let frame = super::relay::frame(0x82, RELAY_MESSAGE_BYTES as u64, &encode_command(&command).unwrap());
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn a_crowd_that_asks_for_everything_under_tls_and_reads_nothing_costs_64_kib_each_at_most() {
    let _turn = alone().await;
    let relay = Relay::start();
    let config = TlsConnector::from(Arc::new(trusting()));
    let mut writer = relay.connect(&config).await;
    for n in 0..200 {
        say(&mut writer, put(n, read_key(1).write_name())).await;
        let mut stored = vec![0; 4 + RELAY_MESSAGE_BYTES];
        within("it is kept", writer.read_exact(&mut stored)).await.unwrap();
    }
    // Control: the measure sees what the relay holds.
    let before = resident(relay.child.id());
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut stream = relay.connect(&config).await;
        for n in 1..=SUBSCRIPTIONS_MAX as u8 {
            say(&mut stream, subscribe(n, 0)).await;
        }
        crowd.push(stream);
    }
    // An honest one asks and is answered: everything before it is done.
    say(&mut writer, put(900, read_key(2).write_name())).await;
    let mut stored = vec![0; 4 + RELAY_MESSAGE_BYTES];
    within("it is kept", writer.read_exact(&mut stored)).await.unwrap();
    let grown = resident(relay.child.id()).saturating_sub(before);
    println!("under TLS: {CROWD} readers who do not read, {} bytes each of the relay's memory", grown / CROWD);
    assert!(grown <= CROWD * PEER_BYTES_MAX + MARGIN_BYTES, "{grown}");
    assert!(grown >= CROWD * 8 * 1024, "control: the measure sees a crowd ({grown})");
}

fn trusting() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth()
}

/// Whoever answers is the relay: it is ours.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
