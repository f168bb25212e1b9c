//! TLS between a device and its relay: one certificate, known beforehand by its hash, and no certificate authority.
//!
//! Law: a device talks to a `wss` relay only if the SHA-256 of the relay's end-entity certificate (DER) is the pin it was given *and*
//! the relay proves that it holds that certificate's key. Names and dates in the certificate mean nothing.

use super::hex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// SHA-256 of a certificate in DER: the event pack names the relay's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// The pin of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Pin {
        Pin(Sha256::digest(certificate).into())
    }

    /// Reads the 64 hex digits that [`Pin`] prints.
    pub fn from_hex(text: &str) -> Option<Pin> {
        hex::parse(text).map(Pin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::print(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Where a relay's certificate comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// PEM files.
    Files {
        /// The chain, the relay's own certificate first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made by the relay itself; kept in this folder if there is one, so that the pin stays the same.
    SelfSigned {
        /// Holds `tls-cert.pem` and `tls-key.pem`.
        folder: Option<PathBuf>,
    },
}

/// The relay cannot offer TLS.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written, or holds no PEM.
    #[error("the file {} cannot be used as a TLS certificate or key ({why})", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system or the parser says.
        why: String,
    },
    /// The key does not fit the certificate, or is of a kind that is not supported.
    #[error("the TLS certificate and key cannot be used together ({0}): they must be one pair, the relay's own certificate first")]
    Pair(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("no self-signed certificate could be made ({0})")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// The server's side of TLS, and the pin that devices need.
    ///
    /// # Errors
    /// [`IdentityError`]: says which file to look at.
    pub fn load(&self) -> Result<(Arc<ServerConfig>, Pin), IdentityError> {
        let (chain, key) = match self {
            Identity::Files { certificate, key } => read_pair(certificate, key)?,
            Identity::SelfSigned { folder: Some(folder) } => {
                let (certificate, key) = (folder.join("tls-cert.pem"), folder.join("tls-key.pem"));
                if !certificate.exists() {
                    let made = make()?;
                    // The certificate last: it says that the pair is whole.
                    write_secret(&key, &made.signing_key.serialize_pem())?;
                    write_secret(&certificate, &made.cert.pem())?;
                }
                read_pair(&certificate, &key)?
            }
            Identity::SelfSigned { folder: None } => {
                let made = make()?;
                (vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()))
            }
        };
        let pin = chain.first().map(Pin::of).ok_or(rustls::Error::NoCertificatesPresented)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok((Arc::new(config), pin))
    }
}

fn make() -> Result<rcgen::CertifiedKey<rcgen::KeyPair>, rcgen::Error> {
    // The name tells nothing: devices look at the pin only.
    rcgen::generate_simple_self_signed(vec!["relay.invalid".into()])
}

fn read_pair(certificate: &Path, key: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let fault = |file: &Path, why: &dyn fmt::Display| IdentityError::File { file: file.to_owned(), why: why.to_string() };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(certificate, &error))?;
    if chain.is_empty() {
        return Err(fault(certificate, &"it holds no certificate in PEM form"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, &error))?;
    Ok((chain, key))
}

fn write_secret(file: &Path, text: &str) -> Result<(), IdentityError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()).and_then(|()| open.sync_all()))
        .map_err(|error| IdentityError::File { file: file.to_owned(), why: error.to_string() })
}

/// The device's side: only the relay with this pin.
pub fn pinned(pin: Pin) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier { pin, algorithms: provider.signature_verification_algorithms };
    Arc::new(client_config(provider, verifier))
}

fn client_config(provider: Arc<CryptoProvider>, verifier: PinVerifier) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring's suites cover TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumption ticket would let the relay tell that two connections come from one device.
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_sni = false;
    config
}

/// Whether a failed connection failed because the relay showed another certificate than the pinned one.
pub fn is_pin_mismatch(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)))
}

#[derive(Debug)]
struct PinVerifier {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Pin::of(end_entity) == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
