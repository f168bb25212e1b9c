//! RFC 9420, sections 5, 8 and 9: labels, key schedule, pre-shared keys, transcript hashes and the secret tree, over our provider.

use super::super::provider::Crypto;
use super::{flipped, hex, list};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, SignatureScheme,
};
use serde_json::Value;

const SHA: HashType = HashType::Sha2_256;
const HASH_BYTES: usize = 32;

fn hpke() -> HpkeConfig {
    HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305)
}

/// `opaque data<V>` (RFC 9420 section 2.1.2).
fn sized(data: &[u8]) -> Vec<u8> {
    let length = match data.len() {
        short @ 0..64 => vec![short as u8],
        long @ 64..16_384 => (0x4000 | long as u16).to_be_bytes().to_vec(),
        longer => (0x8000_0000 | longer as u32).to_be_bytes().to_vec(),
    };
    [&length, data].concat()
}

fn labelled(label: &str) -> Vec<u8> {
    sized(&[b"MLS 1.0 ", label.as_bytes()].concat())
}

fn expand(secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let info = [&(length as u16).to_be_bytes()[..], &labelled(label), &sized(context)].concat();
    Crypto::fixed().hkdf_expand(SHA, secret, &info, length).unwrap().as_slice().to_vec()
}

fn derive(secret: &[u8], label: &str) -> Vec<u8> {
    expand(secret, label, &[], HASH_BYTES)
}

fn extract(salt: &[u8], secret: &[u8]) -> Vec<u8> {
    Crypto::fixed().hkdf_extract(SHA, salt, secret).unwrap().as_slice().to_vec()
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    Crypto::fixed().hash(SHA, &parts.concat()).unwrap()
}

#[test]
fn labels_hash_expand_sign_and_seal_as_rfc_9420_says() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/crypto-basics.json"));
    assert_eq!(vectors.len(), 1);
    let ours = Crypto::fixed();
    let label = |part: &Value| part["label"].as_str().unwrap().to_owned();

    let part = &vectors[0]["ref_hash"];
    assert_eq!(hash(&[&sized(label(part).as_bytes()), &sized(&hex(part, "value"))]), hex(part, "out"));

    let part = &vectors[0]["expand_with_label"];
    assert_eq!(expand(&hex(part, "secret"), &label(part), &hex(part, "context"), 32), hex(part, "out"));
    assert_ne!(expand(&flipped(&hex(part, "secret")), &label(part), &hex(part, "context"), 32), hex(part, "out"));

    let part = &vectors[0]["derive_secret"];
    assert_eq!(derive(&hex(part, "secret"), &label(part)), hex(part, "out"));

    let part = &vectors[0]["derive_tree_secret"];
    let generation = part["generation"].as_u64().unwrap() as u32;
    assert_eq!(expand(&hex(part, "secret"), &label(part), &generation.to_be_bytes(), 32), hex(part, "out"));

    let part = &vectors[0]["sign_with_label"];
    let content = [labelled(&label(part)), sized(&hex(part, "content"))].concat();
    let (key, signature) = (hex(part, "pub"), hex(part, "signature"));
    let holds =
        |content: &[u8], signature: &[u8]| ours.verify_signature(SignatureScheme::ED25519, content, &key, signature).is_ok();
    assert_eq!(ours.sign(SignatureScheme::ED25519, &content, &hex(part, "priv")).unwrap(), signature);
    assert!(holds(&content, &signature) && !holds(&flipped(&content), &signature) && !holds(&content, &flipped(&signature)));

    let part = &vectors[0]["encrypt_with_label"];
    let info = [labelled(&label(part)), sized(&hex(part, "context"))].concat();
    let sealed = |ciphertext: Vec<u8>| HpkeCiphertext { kem_output: hex(part, "kem_output").into(), ciphertext: ciphertext.into() };
    let open = |ciphertext| ours.hpke_open(hpke(), &sealed(ciphertext), &hex(part, "priv"), &info, b"");
    assert_eq!(open(hex(part, "ciphertext")).unwrap(), hex(part, "plaintext"));
    assert!(open(flipped(&hex(part, "ciphertext"))).is_err());
}

#[test]
fn every_epochs_secrets_follow_from_the_one_before() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/key-schedule.json"));
    let mut epochs = 0;
    for vector in &vectors {
        let mut init = hex(vector, "initial_init_secret");
        for epoch in vector["epochs"].as_array().unwrap() {
            let context = hex(epoch, "group_context");
            let joiner = |commit: &[u8]| expand(&extract(&init, commit), "joiner", &context, HASH_BYTES);
            assert_eq!(joiner(&hex(epoch, "commit_secret")), hex(epoch, "joiner_secret"));
            assert_ne!(joiner(&flipped(&hex(epoch, "commit_secret"))), hex(epoch, "joiner_secret"));
            let member = extract(&hex(epoch, "joiner_secret"), &hex(epoch, "psk_secret"));
            assert_eq!(derive(&member, "welcome"), hex(epoch, "welcome_secret"));
            let secret = expand(&member, "epoch", &context, HASH_BYTES);
            for (label, name) in [
                ("sender data", "sender_data_secret"),
                ("encryption", "encryption_secret"),
                ("exporter", "exporter_secret"),
                ("external", "external_secret"),
                ("confirm", "confirmation_key"),
                ("membership", "membership_key"),
                ("resumption", "resumption_psk"),
                ("authentication", "epoch_authenticator"),
                ("init", "init_secret"),
            ] {
                assert_eq!(derive(&secret, label), hex(epoch, name), "{name}");
            }
            let external = Crypto::fixed().derive_hpke_keypair(hpke(), &hex(epoch, "external_secret")).unwrap();
            assert_eq!(external.public, hex(epoch, "external_pub"));
            let asked = &epoch["exporter"];
            let exporter = derive(&hex(epoch, "exporter_secret"), asked["label"].as_str().unwrap());
            let exported =
                expand(&exporter, "exported", &hash(&[&hex(asked, "context")]), asked["length"].as_u64().unwrap() as usize);
            assert_eq!(exported, hex(asked, "secret"));
            init = hex(epoch, "init_secret");
            epochs += 1;
        }
    }
    assert_eq!(epochs, 5);
}

#[test]
fn pre_shared_keys_come_together_as_rfc_9420_says() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/psk-secret.json"));
    assert_eq!(vectors.len(), 10);
    for vector in &vectors {
        let psks = vector["psks"].as_array().unwrap();
        let combined = |change: bool| {
            psks.iter().enumerate().fold(vec![0; HASH_BYTES], |before, (index, psk)| {
                let key = if change && index == 0 { flipped(&hex(psk, "psk")) } else { hex(psk, "psk") };
                let places = [(index as u16).to_be_bytes(), (psks.len() as u16).to_be_bytes()].concat();
                let label = [&[1], &sized(&hex(psk, "psk_id"))[..], &sized(&hex(psk, "psk_nonce")), &places].concat();
                extract(&expand(&extract(&[0; HASH_BYTES], &key), "derived psk", &label, HASH_BYTES), &before)
            })
        };
        assert_eq!(combined(false), hex(vector, "psk_secret"));
        assert!(psks.is_empty() || combined(true) != hex(vector, "psk_secret"));
    }
}

#[test]
fn transcript_hashes_chain_and_are_confirmed() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/transcript-hashes.json"));
    assert_eq!(vectors.len(), 20);
    for vector in &vectors {
        // The confirmation tag, an `opaque<V>` of 32 bytes, is the end of the authenticated content.
        let content = hex(vector, "authenticated_content");
        let (signed, tag) = content.split_at(content.len() - 1 - HASH_BYTES);
        let confirmed = hash(&[&hex(vector, "interim_transcript_hash_before"), signed]);
        assert_eq!(confirmed, hex(vector, "confirmed_transcript_hash_after"));
        assert_eq!(hash(&[&confirmed, tag]), hex(vector, "interim_transcript_hash_after"));
        let confirm = |key: &[u8]| Crypto::fixed().hmac(SHA, key, &confirmed).unwrap().as_slice().to_vec();
        assert_eq!(confirm(&hex(vector, "confirmation_key")), tag[1..]);
        assert_ne!(confirm(&flipped(&hex(vector, "confirmation_key"))), tag[1..]);
    }
}

/// The secret of a leaf: down from the root, left or right by the leaf's bits.
fn leaf_secret(root: &[u8], leaf: usize, leaves: usize) -> Vec<u8> {
    let depth = leaves.trailing_zeros();
    (0..depth).rev().fold(root.to_vec(), |node, level| {
        expand(&node, "tree", if leaf >> level & 1 == 1 { b"right" } else { b"left" }, HASH_BYTES)
    })
}

#[test]
fn the_secret_tree_gives_every_leaf_its_keys() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/secret-tree.json"));
    let mut keys = 0;
    for vector in &vectors {
        let sender = &vector["sender_data"];
        let (secret, sample) = (hex(sender, "sender_data_secret"), &hex(sender, "ciphertext")[..HASH_BYTES]);
        assert_eq!(expand(&secret, "key", sample, 32), hex(sender, "key"));
        assert_eq!(expand(&secret, "nonce", sample, 12), hex(sender, "nonce"));

        let leaves = vector["leaves"].as_array().unwrap();
        for (leaf, wanted) in leaves.iter().enumerate() {
            let root = hex(vector, "encryption_secret");
            assert_ne!(leaf_secret(&flipped(&root), leaf, leaves.len()), leaf_secret(&root, leaf, leaves.len()));
            for kind in ["handshake", "application"] {
                let mut ratchet = derive(&leaf_secret(&root, leaf, leaves.len()), kind);
                let mut generation = 0_u32;
                for step in wanted.as_array().unwrap() {
                    while generation < step["generation"].as_u64().unwrap() as u32 {
                        ratchet = expand(&ratchet, "secret", &generation.to_be_bytes(), HASH_BYTES);
                        generation += 1;
                    }
                    let (key, nonce) = (hex(step, &format!("{kind}_key")), hex(step, &format!("{kind}_nonce")));
                    assert_eq!(expand(&ratchet, "key", &generation.to_be_bytes(), 32), key);
                    assert_eq!(expand(&ratchet, "nonce", &generation.to_be_bytes(), 12), nonce);
                    assert!(Crypto::fixed().aead_encrypt(AeadType::ChaCha20Poly1305, &key, b"", &nonce, b"").is_ok());
                    keys += 1;
                }
            }
        }
    }
    assert_eq!(keys, 164);
}
