//! What OpenMLS asks of its surroundings: the primitives of suite 0x0003, chance, and a place for its state.
//!
//! Laws: every random byte comes from the caller's [`Rng`], and a call that was given none fails rather than finding its own; no
//! clock, no entropy of the OS, no other suite. OpenMLS seals the nodes of a commit's path on several threads at once (rayon), in
//! whatever order they come: so what HPKE draws hangs on what is sealed, never on when.
//! It does not keep state (see [`Store`]).

use super::store::Store;
use crate::proto::rng::Rng;
use crate::proto::secret;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use openmls::prelude::tls_codec::SecretVLBytes;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType,
    HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_core::RngCore;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::Mutex;

/// The one suite: MLS 1.0 number 0x0003 (RFC 9420 section 17.1).
pub(super) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// The longest `info` given to HPKE: the `hpke` crate reserves the right to panic from 65,531 bytes on. In a welcome it holds the
/// whole group info, so this also bounds a group to some two hundred seats.
const HPKE_INFO_BYTES_MAX: usize = 65_000;

type HpkeAead = hpke::aead::ChaCha20Poly1305;
type HpkeKdf = hpke::kdf::HkdfSha256;
type HpkeKem = hpke::kem::X25519HkdfSha256;

/// Everything for one call into OpenMLS.
pub(super) struct Provider<'a> {
    crypto: Crypto<'a>,
    store: &'a Store,
}

impl<'a> Provider<'a> {
    /// For a call that draws at random.
    pub(super) fn drawing(store: &'a Store, rng: &'a mut Rng) -> Self {
        Self { crypto: Crypto::drawing(rng), store }
    }

    /// For a call that must not need chance.
    pub(super) fn fixed(store: &'a Store) -> Self {
        Self { crypto: Crypto::fixed(), store }
    }
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = Crypto<'a>;
    type RandProvider = Crypto<'a>;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        self.store
    }
    fn crypto(&self) -> &Crypto<'a> {
        &self.crypto
    }
    fn rand(&self) -> &Crypto<'a> {
        &self.crypto
    }
}

/// The primitives, and the chance behind those that draw.
pub(super) struct Crypto<'a> {
    chance: Option<Chance<'a>>,
}

struct Chance<'a> {
    /// For what OpenMLS draws in a fixed order. Behind a lock only because it wants its provider `Sync`.
    rng: Mutex<&'a mut Rng>,
    /// For HPKE: drawn once per call into OpenMLS, mixed with what is sealed.
    sealing: secret::Key,
}

impl<'a> Crypto<'a> {
    /// The primitives without chance.
    pub(super) fn fixed() -> Self {
        Self { chance: None }
    }

    /// The primitives with chance.
    pub(super) fn drawing(rng: &'a mut Rng) -> Self {
        let sealing = secret::Key(rng.bytes());
        Self { chance: Some(Chance { rng: Mutex::new(rng), sealing }) }
    }

    /// The generator for one encapsulation. Two of the same content in one call are the same, which tells nobody anything.
    fn encapsulating(&self, content: [&[u8]; 4]) -> Result<Rng, CryptoError> {
        let chance = self.chance.as_ref().ok_or(CryptoError::InsufficientRandomness)?;
        Ok(Rng::new(chance.sealing.mac(&[&secret::hash("alcove/1 encapsulation", &content)])))
    }

    fn draw<T>(&self, with: impl FnOnce(&mut Rng) -> T) -> Result<T, CryptoError> {
        let chance = self.chance.as_ref().ok_or(CryptoError::InsufficientRandomness)?;
        let mut rng = chance.rng.lock().map_err(|_| CryptoError::InsufficientRandomness)?;
        Ok(with(&mut rng))
    }
}

impl OpenMlsRand for Crypto<'_> {
    type Error = CryptoError;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], CryptoError> {
        self.draw(Rng::bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, CryptoError> {
        self.draw(|rng| {
            let mut bytes = vec![0; len];
            rng.fill_bytes(&mut bytes);
            bytes
        })
    }
}

impl OpenMlsCrypto for Crypto<'_> {
    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if suite == SUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        only_sha256(hash)?;
        Ok(Hkdf::<Sha256>::extract(Some(salt), ikm).0.to_vec().into())
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        only_sha256(hash)?;
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec().into())
    }

    fn hkdf_expand(&self, hash: HashType, prk: &[u8], info: &[u8], okm_len: usize) -> Result<SecretVLBytes, CryptoError> {
        only_sha256(hash)?;
        let mut okm = vec![0; okm_len];
        let hkdf = Hkdf::<Sha256>::from_prk(prk).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        hkdf.expand(info, &mut okm).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        only_sha256(hash)?;
        Ok(Sha256::digest(data).to_vec())
    }

    fn aead_encrypt(&self, alg: AeadType, key: &[u8], data: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (cipher, nonce) = chacha(alg, key, nonce)?;
        cipher.encrypt(&nonce, Payload { msg: data, aad }).map_err(|_| CryptoError::CryptoLibraryError)
    }

    fn aead_decrypt(&self, alg: AeadType, key: &[u8], ct_tag: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (cipher, nonce) = chacha(alg, key, nonce)?;
        cipher.decrypt(&nonce, Payload { msg: ct_tag, aad }).map_err(|_| CryptoError::AeadDecryptionError)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        only_ed25519(alg)?;
        let key = SigningKey::from_bytes(&self.draw(Rng::bytes)?);
        Ok((key.to_bytes().to_vec(), key.verifying_key().to_bytes().to_vec()))
    }

    fn verify_signature(&self, alg: SignatureScheme, data: &[u8], pk: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        only_ed25519(alg)?;
        let key = pk.try_into().map_err(|_| CryptoError::InvalidPublicKey)?;
        let signature = signature.try_into().map_err(|_| CryptoError::InvalidSignature)?;
        if secret::is_signed_by(key, data, signature) { Ok(()) } else { Err(CryptoError::InvalidSignature) }
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        only_ed25519(alg)?;
        let key = SigningKey::try_from(key).map_err(|_| CryptoError::InvalidLength)?;
        Ok(key.sign(data).to_bytes().to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        only_our_hpke(&config, info)?;
        let recipient = <HpkeKem as Kem>::PublicKey::from_bytes(pk_r).map_err(|_| CryptoError::InvalidPublicKey)?;
        let rng = &mut Draws(self.encapsulating([pk_r, info, aad, ptxt])?);
        let (encapsulated, ciphertext) =
            hpke::single_shot_seal_with_rng::<HpkeAead, HpkeKdf, HpkeKem>(&OpModeS::Base, &recipient, info, ptxt, aad, rng)
                .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext { kem_output: encapsulated.to_bytes().to_vec().into(), ciphertext: ciphertext.into() })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        only_our_hpke(&config, info)?;
        let (secret, encapsulated) = receiving(sk_r, input.kem_output.as_slice())?;
        let sealed = input.ciphertext.as_slice();
        hpke::single_shot_open::<HpkeAead, HpkeKdf, HpkeKem>(&OpModeR::Base, &secret, &encapsulated, info, sealed, aad)
            .map_err(|_| CryptoError::HpkeDecryptionError)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        only_our_hpke(&config, info)?;
        let recipient = <HpkeKem as Kem>::PublicKey::from_bytes(pk_r).map_err(|_| CryptoError::InvalidPublicKey)?;
        let rng = &mut Draws(self.encapsulating([pk_r, info, exporter_context, b"export"])?);
        let (encapsulated, context) =
            hpke::setup_sender_with_rng::<HpkeAead, HpkeKdf, HpkeKem>(&OpModeS::Base, &recipient, info, rng)
                .map_err(|_| CryptoError::SenderSetupError)?;
        let mut exported = vec![0; exporter_length];
        context.export(exporter_context, &mut exported).map_err(|_| CryptoError::ExporterError)?;
        Ok((encapsulated.to_bytes().to_vec(), exported.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        only_our_hpke(&config, info)?;
        let (secret, encapsulated) = receiving(sk_r, enc)?;
        let context = hpke::setup_receiver::<HpkeAead, HpkeKdf, HpkeKem>(&OpModeR::Base, &secret, &encapsulated, info)
            .map_err(|_| CryptoError::ReceiverSetupError)?;
        let mut exported = vec![0; exporter_length];
        context.export(exporter_context, &mut exported).map_err(|_| CryptoError::ExporterError)?;
        Ok(exported.into())
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        only_our_hpke(&config, &[])?;
        let (private, public) = HpkeKem::derive_keypair(ikm);
        Ok(HpkeKeyPair { private: private.to_bytes().to_vec().into(), public: public.to_bytes().to_vec() })
    }
}

/// Our generator under the trait of the `rand_core` that `hpke` uses.
struct Draws(Rng);

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Draws {}

type Receiving = (<HpkeKem as Kem>::PrivateKey, <HpkeKem as Kem>::EncappedKey);

fn receiving(secret: &[u8], encapsulated: &[u8]) -> Result<Receiving, CryptoError> {
    let secret = <HpkeKem as Kem>::PrivateKey::from_bytes(secret).map_err(|_| CryptoError::InvalidLength)?;
    let encapsulated = <HpkeKem as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| CryptoError::InvalidLength)?;
    Ok((secret, encapsulated))
}

fn chacha(alg: AeadType, key: &[u8], nonce: &[u8]) -> Result<(ChaCha20Poly1305, Nonce), CryptoError> {
    if alg != AeadType::ChaCha20Poly1305 {
        return Err(CryptoError::UnsupportedAeadAlgorithm);
    }
    let key: [u8; 32] = key.try_into().map_err(|_| CryptoError::InvalidLength)?;
    let nonce: [u8; 12] = nonce.try_into().map_err(|_| CryptoError::InvalidLength)?;
    Ok((ChaCha20Poly1305::new(Key::from_slice(&key)), nonce.into()))
}

fn only_sha256(hash: HashType) -> Result<(), CryptoError> {
    if hash == HashType::Sha2_256 { Ok(()) } else { Err(CryptoError::UnsupportedHashAlgorithm) }
}

fn only_ed25519(scheme: SignatureScheme) -> Result<(), CryptoError> {
    if scheme == SignatureScheme::ED25519 { Ok(()) } else { Err(CryptoError::UnsupportedSignatureScheme) }
}

fn only_our_hpke(config: &HpkeConfig, info: &[u8]) -> Result<(), CryptoError> {
    let HpkeConfig(kem, kdf, aead) = config;
    let ours = (*kem, *kdf, *aead) == (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);
    if !ours {
        return Err(CryptoError::UnsupportedCiphersuite);
    }
    if info.len() > HPKE_INFO_BYTES_MAX { Err(CryptoError::InvalidLength) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openmls_rust_crypto::RustCrypto;

    const HPKE: fn() -> HpkeConfig =
        || HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);

    /// OpenMLS's own provider is the reference: each primitive answers as it does, for inputs of many lengths.
    #[test]
    fn every_primitive_answers_as_the_stock_provider_does() {
        let (stock, mut rng) = (RustCrypto::default(), Rng::new([50; 32]));
        let (sha, aead, scheme) = (HashType::Sha2_256, AeadType::ChaCha20Poly1305, SignatureScheme::ED25519);
        for len in [0, 1, 12, 31, 32, 33, 64, 65, 200, 1_000] {
            let (key, nonce): ([u8; 32], [u8; 12]) = (rng.bytes(), rng.bytes());
            let mut data = vec![0; len];
            rng.fill_bytes(&mut data);
            let ours = Crypto::fixed();
            assert_eq!(ours.hash(sha, &data).unwrap(), stock.hash(sha, &data).unwrap());
            assert_eq!(ours.hmac(sha, &key, &data).unwrap().as_slice(), stock.hmac(sha, &key, &data).unwrap().as_slice());
            assert_eq!(
                ours.hkdf_extract(sha, &data, &key).unwrap().as_slice(),
                stock.hkdf_extract(sha, &data, &key).unwrap().as_slice()
            );
            assert_eq!(
                ours.hkdf_expand(sha, &key, &data, len.max(1)).unwrap().as_slice(),
                stock.hkdf_expand(sha, &key, &data, len.max(1)).unwrap().as_slice()
            );
            let sealed = ours.aead_encrypt(aead, &key, &data, &nonce, &key).unwrap();
            assert_eq!(sealed, stock.aead_encrypt(aead, &key, &data, &nonce, &key).unwrap());
            assert_eq!(ours.aead_decrypt(aead, &key, &sealed, &nonce, &key).unwrap(), data);
            assert!(ours.aead_decrypt(aead, &key, &sealed, &nonce, &nonce).is_err());

            let pair = ours.derive_hpke_keypair(HPKE(), &key).unwrap();
            let theirs = stock.derive_hpke_keypair(HPKE(), &key).unwrap();
            // X25519 ignores the bits of a private key that one of the two has cleared (RFC 7748 section 5).
            assert_eq!(pair.public, theirs.public);
            let drawing = Crypto::drawing(&mut rng);
            let sealed = drawing.hpke_seal(HPKE(), &pair.public, &data, &nonce, &data).unwrap();
            assert_eq!(stock.hpke_open(HPKE(), &sealed, &theirs.private, &data, &nonce).unwrap(), data);
            let sealed = stock.hpke_seal(HPKE(), &pair.public, &data, &nonce, &data).unwrap();
            assert_eq!(drawing.hpke_open(HPKE(), &sealed, &pair.private, &data, &nonce).unwrap(), data);
            assert!(drawing.hpke_open(HPKE(), &sealed, &pair.private, &data, &key).is_err());
            let (sent, exported) = drawing.hpke_setup_sender_and_export(HPKE(), &pair.public, &data, &nonce, 32).unwrap();
            let (sent_by_stock, stock_exported) =
                stock.hpke_setup_sender_and_export(HPKE(), &pair.public, &data, &nonce, 32).unwrap();
            let receive = |crypto: &dyn Fn(&[u8]) -> ExporterSecret, sent: &[u8]| crypto(sent).to_vec();
            let by_ours =
                |sent: &[u8]| ours.hpke_setup_receiver_and_export(HPKE(), sent, &pair.private, &data, &nonce, 32).unwrap();
            let by_stock =
                |sent: &[u8]| stock.hpke_setup_receiver_and_export(HPKE(), sent, &pair.private, &data, &nonce, 32).unwrap();
            assert_eq!(receive(&by_stock, &sent), exported.to_vec());
            assert_eq!(receive(&by_ours, &sent_by_stock), stock_exported.to_vec());

            let (secret, public) = drawing.signature_key_gen(scheme).unwrap();
            let signature = drawing.sign(scheme, &data, &secret).unwrap();
            assert_eq!(signature, stock.sign(scheme, &data, &secret).unwrap());
            assert!(ours.verify_signature(scheme, &data, &public, &signature).is_ok());
            assert!(ours.verify_signature(scheme, &nonce, &public, &signature).is_err());
        }
    }

    #[test]
    fn what_is_sealed_does_not_hang_on_the_order_of_sealing() {
        let pair = Crypto::fixed().derive_hpke_keypair(HPKE(), &[1; 32]).unwrap();
        let sealed = |order: [u8; 3]| {
            let mut rng = Rng::new([51; 32]);
            let crypto = Crypto::drawing(&mut rng);
            let mut sealed = order.map(|i| (i, crypto.hpke_seal(HPKE(), &pair.public, &[i], b"", b"path secret").unwrap()));
            sealed.sort_by_key(|(i, _)| *i);
            sealed.map(|(_, sealed)| sealed)
        };
        let [first, second, third] = sealed([0, 1, 2]);
        assert_eq!([first.clone(), second.clone(), third.clone()], sealed([2, 0, 1]));
        assert!(first.kem_output != second.kem_output && second.kem_output != third.kem_output, "each has a key of its own");
        let mut other = Rng::new([52; 32]);
        assert_ne!(Crypto::drawing(&mut other).hpke_seal(HPKE(), &pair.public, &[0], b"", b"path secret").unwrap(), first);
    }

    #[test]
    fn no_other_suite_is_spoken() {
        let ours = Crypto::fixed();
        assert!(ours.supports(SUITE).is_ok());
        assert!(ours.supports(Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519).is_err());
        assert!(ours.hash(HashType::Sha2_512, b"").is_err());
        assert!(ours.aead_encrypt(AeadType::Aes128Gcm, &[0; 16], b"", &[0; 12], b"").is_err());
        assert!(ours.sign(SignatureScheme::ECDSA_SECP256R1_SHA256, b"", &[1; 32]).is_err());
        let other = HpkeConfig(HpkeKemType::DhKemP256, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);
        assert!(ours.derive_hpke_keypair(other, &[1; 32]).is_err());
    }
}
