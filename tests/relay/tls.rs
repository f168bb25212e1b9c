//! A device and its relay under TLS: the pin decides, and only the pin.

use crate::world::*;
use alcove::proto::io::RelayEvent;
use alcove::shell::relay::{FetchError, Identity, Options, RelayAddress, RelayClient, RelayState, fetch_pack};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

fn self_signed(folder: Option<&std::path::Path>) -> Options {
    let folder = folder.map(std::path::Path::to_owned);
    Options { tls: Some(Identity::SelfSigned { folder }), ..quick() }
}

#[tokio::test]
async fn a_device_talks_only_to_the_certificate_it_was_given() {
    let world = World::new(self_signed(None)).await;
    let right = world.relay_address();
    let wrong = RelayAddress { tls_pin: Some([9; 32]), ..right.clone() };

    let (client, _events) = RelayClient::start(&wrong, hasty()).unwrap();
    let mut state = client.state();
    within("the mismatch is seen", state.wait_for(|state| *state == RelayState::PinMismatch)).await.unwrap();
    assert!(client.send(put(0, read_key(1).write_name())).is_some(), "nothing is taken for a stranger");
    assert_eq!(fetch_pack(&wrong, [0; 32]).await, Err(FetchError::Connect(alcove::shell::relay::ConnectError::PinMismatch)));
    drop(client);

    // The control: the same relay with its own pin.
    let (client, mut events) = RelayClient::start(&right, hasty()).unwrap();
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    assert_eq!(client.send(put(0, read_key(1).write_name())), None);
    assert!(matches!(event(&mut events).await, RelayEvent::Stored { .. }));
    assert_eq!(fetch_pack(&right, [0; 32]).await, Err(FetchError::Absent), "the way is open, the pack is not there");
    drop(client);
    world.stop().await;
}

#[tokio::test]
async fn a_self_made_certificate_outlives_a_restart_and_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let first = World::new(self_signed(Some(folder.path()))).await;
    let pin = first.pin;
    first.stop().await;
    let files = Identity::Files { certificate: folder.path().join("tls-cert.pem"), key: folder.path().join("tls-key.pem") };
    for options in [self_signed(Some(folder.path())), Options { tls: Some(files), ..quick() }] {
        let world = World::new(options).await;
        assert_eq!(world.pin, pin);
        world.stop().await;
    }
    let mode = std::fs::metadata(folder.path().join("tls-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A TLS server that shows the first certificate and signs with the second one's key; whether a client's handshake came through.
async fn impostor(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>, key: &rcgen::KeyPair) -> (String, mpsc::Receiver<bool>) {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let shown = Shows(Arc::new(CertifiedKey::new(vec![certificate.cert.der().clone()], key)));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let (verdict, verdicts) = mpsc::channel(1);
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = verdict.send(acceptor.accept(stream).await.is_ok()).await;
        }
    });
    (url, verdicts)
}

#[tokio::test]
async fn showing_the_relays_certificate_without_its_key_is_not_enough() {
    let own = rcgen::generate_simple_self_signed(vec!["relay.invalid".into()]).unwrap();
    let stolen = rcgen::generate_simple_self_signed(vec!["relay.invalid".into()]).unwrap();
    let pin = Some(Sha256::digest(stolen.cert.der()).into());
    for (key, trusted) in [(&own.signing_key, false), (&stolen.signing_key, true)] {
        let (url, mut verdicts) = impostor(&stolen, key).await;
        let (_client, _events) = RelayClient::start(&RelayAddress { url, tls_pin: pin }, hasty()).unwrap();
        assert_eq!(within("a handshake", verdicts.recv()).await, Some(trusted));
    }
}
