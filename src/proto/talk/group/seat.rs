//! A seat's own keys: one Ed25519 key for a talk's whole life, and the private halves of its unspent key packages.
//!
//! Laws: a key package is made from fresh keys and its private half is gone once it has been used to join; the signature key speaks in
//! two tongues that cannot be confused, MLS's and our statements'. It does not decide who may sit down.

use super::error::{GroupError, OTHER_KEY_PACKAGE};
use super::member::Member;
use super::provider::{Crypto, Provider, SUITE};
use super::store::Store;
use crate::proto::error::Corrupt;
use crate::proto::id::SeatId;
use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash, is_signed_by};
use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, KeyPackage, KeyPackageIn, KeyPackageVerifyError, LeafNode,
    Lifetime, ProtocolVersion,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A key package of ours has 284 bytes; more is not read.
pub const KEY_PACKAGE_BYTES_MAX: usize = 1_024;
/// Unspent key packages that a seat remembers: one per invitation under way. The oldest is forgotten first.
pub const KEY_PACKAGES_MAX: usize = 4;

/// First bytes of whatever a seat signs outside MLS. MLS signs a length-prefixed label first (RFC 9420 section 5.1.2), whose first
/// byte is below 0x40 for every label it has: no signature of one kind is ever one of the other.
const STATEMENT: &[u8] = b"alcove/1 statement\0";

/// What one seat holds: who it is in this talk, the key it signs with, and what it needs to join by an unspent key package.
#[cfg_attr(test, derive(Clone))]
pub struct SeatKeys {
    id: SeatId,
    signing: Signing,
    /// Oldest first: the entry's key in the store and the private bundle.
    pub(super) packages: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

/// The form of [`SeatKeys`] in a record.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    id: SeatId,
    signing: [u8; 32],
    #[serde(borrow)]
    packages: Vec<(&'a [u8], &'a [u8])>,
}

impl SeatKeys {
    /// A new seat: random name, fresh key.
    pub fn generate(rng: &mut Rng) -> Self {
        let id = SeatId(rng.bytes());
        let seed = Zeroizing::new(rng.bytes());
        Self { id, signing: Signing(SigningKey::from_bytes(&seed)), packages: Vec::new() }
    }

    /// The seat's name in this talk: its MLS credential.
    pub fn id(&self) -> SeatId {
        self.id
    }

    /// The Ed25519 key that verifies what this seat signs.
    pub fn verifying_key(&self) -> [u8; 32] {
        self.signing.0.verifying_key().to_bytes()
    }

    /// The seat as others see it.
    pub fn member(&self) -> Member {
        Member { seat: self.id, key: self.verifying_key() }
    }

    /// A fresh key package (RFC 9420 section 10, 284 bytes): new keys, the same seat and signature key. To be used once; the private
    /// half stays here until then, so persist [`to_bytes`](Self::to_bytes) before it leaves.
    ///
    /// # Errors
    /// [`GroupError::Broken`] if OpenMLS could not make one.
    pub fn key_package(&mut self, rng: &mut Rng) -> Result<Vec<u8>, GroupError> {
        let store = Store::default();
        let package = KeyPackage::builder()
            .key_package_lifetime(lifetime())
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &Provider::drawing(&store, rng), &self.signing, self.credential())
            .map_err(|_| GroupError::Broken)?;
        let bytes = package.key_package().tls_serialize_detached().map_err(|_| GroupError::Broken)?;
        self.packages.extend(store.take_key_packages());
        let excess = self.packages.len().saturating_sub(KEY_PACKAGES_MAX);
        self.packages.drain(..excess);
        Ok(bytes)
    }

    /// Signs a statement outside MLS: the domain says what it is about and must be used for nothing else.
    pub fn sign(&self, domain: &str, parts: &[&[u8]]) -> [u8; 64] {
        self.signing.0.sign(&statement(domain, parts)).to_bytes()
    }

    /// Everything, for a sealed record.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let kept = Kept {
            id: self.id,
            signing: self.signing.0.to_bytes(),
            packages: self.packages.iter().map(|(key, bundle)| (key.as_slice(), bundle.as_slice())).collect(),
        };
        Zeroizing::new(postcard::to_allocvec(&kept).expect("byte strings always have a postcard form"))
    }

    /// Reads back [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`Corrupt`] if the bytes are not that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let kept: Kept<'_> = postcard::from_bytes(bytes).map_err(|_| Corrupt { name: "seat".into() })?;
        let packages = kept.packages.into_iter().map(|(key, bundle)| (key.to_vec(), Zeroizing::new(bundle.to_vec()))).collect();
        Ok(Self { id: kept.id, signing: Signing(SigningKey::from_bytes(&kept.signing)), packages })
    }

    pub(super) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.id.0.to_vec()).into(),
            signature_key: self.verifying_key().to_vec().into(),
        }
    }

    pub(super) fn signing(&self) -> Signing {
        self.signing.clone()
    }
}

/// Whether `key` signed this statement ([`SeatKeys::sign`]); keys and signatures of small order never verify (RFC 8032, strict).
pub fn verify(key: &[u8; 32], domain: &str, parts: &[&[u8]], signature: &[u8; 64]) -> bool {
    is_signed_by(key, &statement(domain, parts), signature)
}

/// Who would sit down by this key package: it has our one form, both signatures hold, and it bears no expiry (see [`lifetime`]).
///
/// # Errors
/// [`GroupError::Malformed`] if it is too long or no key package, [`GroupError::Refused`] if it has not our form,
/// [`GroupError::Forged`] if a signature does not hold.
pub fn check_key_package(bytes: &[u8]) -> Result<Member, GroupError> {
    checked(bytes).map(|(member, _)| member)
}

pub(super) fn checked(bytes: &[u8]) -> Result<(Member, KeyPackage), GroupError> {
    if bytes.len() > KEY_PACKAGE_BYTES_MAX {
        return Err(GroupError::Malformed);
    }
    let package = KeyPackageIn::tls_deserialize_exact(bytes).map_err(|_| GroupError::Malformed)?;
    let package = package.validate(&Crypto::fixed(), ProtocolVersion::Mls10).map_err(|error| match error {
        // Not our lifetime, whichever side of the clock it is on.
        KeyPackageVerifyError::LifetimeError(_) => OTHER_KEY_PACKAGE,
        _ => GroupError::Forged,
    })?;
    let member = member_by(&package).ok_or(OTHER_KEY_PACKAGE)?;
    let is_usable = hpke_keys(&package).iter().all(|key| is_sealable(key));
    if is_usable { Ok((member, package)) } else { Err(GroupError::Refused("a key package to which nothing can be sealed")) }
}

/// Whether each of these key packages has public keys of its own: with two alike nothing can be founded, and either may be the copy.
pub fn share_no_key<'a>(packages: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut seen = BTreeSet::new();
    let mut is_new =
        |bytes: &[u8]| checked(bytes).is_ok_and(|(_, package)| hpke_keys(&package).into_iter().all(|key| seen.insert(key)));
    packages.into_iter().all(&mut is_new)
}

/// The public keys to which a founding and later commits are sealed.
fn hpke_keys(package: &KeyPackage) -> [Vec<u8>; 2] {
    // OpenMLS gives the leaf's key only as it is written, behind its length.
    let leaf = package.leaf_node().encryption_key().tls_serialize_detached().unwrap_or_default();
    [package.hpke_init_key().as_slice().to_vec(), leaf.get(1..).unwrap_or_default().to_vec()]
}

/// With a point of small order X25519 gives zeros, and HPKE refuses them (RFC 9180 section 7.1.4): one such key would stop every founding and
/// every commit that is sealed to it.
fn is_sealable(public: &[u8]) -> bool {
    let any = x25519_dalek::StaticSecret::from([1; 32]);
    <[u8; 32]>::try_from(public).is_ok_and(|public| any.diffie_hellman(&public.into()).was_contributory())
}

/// The member that a key package makes, `None` if it is not exactly as [`SeatKeys::key_package`] makes them.
pub(super) fn member_by(package: &KeyPackage) -> Option<Member> {
    let plain =
        package.ciphersuite() == SUITE && package.extensions().iter().next().is_none() && *package.life_time() == lifetime();
    plain.then(|| member_at(package.leaf_node())).flatten()
}

/// The member at a leaf, `None` if the leaf says more or less than ours do.
pub(super) fn member_at(leaf: &LeafNode) -> Option<Member> {
    let plain = leaf.extensions().iter().next().is_none() && *leaf.capabilities() == capabilities();
    plain.then(|| Member::read(leaf.credential(), leaf.signature_key().as_slice())).flatten()
}

/// What a leaf can do: one suite, basic credentials, nothing else.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![SUITE])
        .extensions(Vec::new())
        .proposals(Vec::new())
        .credentials(vec![CredentialType::Basic])
        .build()
}

/// Always valid: OpenMLS asks the OS's clock, so that any other lifetime would let the clock decide. A talk's expiry is ours to keep.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// Signs a statement with a key that is no seat's: the re-join key of a device.
pub fn sign(secret: &Key, domain: &str, parts: &[&[u8]]) -> [u8; 64] {
    SigningKey::from_bytes(&secret.0).sign(&statement(domain, parts)).to_bytes()
}

fn statement(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    [STATEMENT, hash(domain, parts).as_slice()].concat()
}

/// The signature key as OpenMLS wants it.
#[derive(Clone)]
pub(super) struct Signing(SigningKey);

impl Signer for Signing {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }
    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
