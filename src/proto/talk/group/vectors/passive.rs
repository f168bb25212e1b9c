//! RFC 9420's passive clients: whole groups of another implementation, joined and followed through our provider and store.
//!
//! The groups are not of a talk's form (other extensions, public messages, proposals by reference), so they are joined by OpenMLS
//! itself with a configuration that takes them, and not by [`Group::join`](super::super::Group::join), which must refuse them. What is
//! tried is what a talk uses beneath it: welcome, tree, path secrets, pre-shared keys, key schedule, secret tree, transcript. Proposals
//! by reference go to a store of OpenMLS's own, because ours takes none.

use super::super::provider::{Crypto, Provider};
use super::super::store::Store;
use super::super::{GroupError, parse};
use super::{flipped, hex, list, unhex};
use openmls::group::MIXED_PLAINTEXT_WIRE_FORMAT_POLICY;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    JoinBuilder, KeyPackage, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent,
    ProcessedWelcome, ProtocolMessage, RatchetTreeIn,
};
use openmls::schedule::PreSharedKeyId;
use openmls_memory_storage::MemoryStorage;
use openmls_traits::storage::{CURRENT_VERSION as V, Entity, StorageProvider, traits};
use openmls_traits::types::HpkePrivateKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// OpenMLS's `KeyPackageBundle` as it is written: its fields in order. OpenMLS makes one only from keys of its own.
#[derive(Serialize, Deserialize)]
struct Bundle(KeyPackage, HpkePrivateKey, HpkePrivateKey);
impl Entity<V> for Bundle {}
impl traits::KeyPackage<V> for Bundle {}

fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .number_of_resumption_psks(16)
        .use_ratchet_tree_extension(true)
        .build()
}

/// Joins by the vector's welcome, with one bit of it changed or not.
fn join(vector: &Value, store: &Store, welcome: &[u8]) -> Option<MlsGroup> {
    let provider = Provider::fixed(store);
    let MlsMessageBodyIn::KeyPackage(package) = parse(&hex(vector, "key_package")).ok()? else { return None };
    // The package may have expired since it was written: it is taken as it stands, without asking the clock. Both forms are written alike.
    let package: KeyPackage = postcard::from_bytes(&postcard::to_allocvec(&package).ok()?).ok()?;
    let reference = package.hash_ref(&Crypto::fixed()).ok()?;
    let (init, encryption) = (hex(vector, "init_priv").into(), hex(vector, "encryption_priv").into());
    store.write_key_package(&reference, &Bundle(package, init, encryption)).ok()?;
    for psk in vector["external_psks"].as_array()? {
        PreSharedKeyId::external(hex(psk, "psk_id"), Vec::new()).store(&provider, &hex(psk, "psk")).ok()?;
    }

    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome).ok()? else { return None };
    let processed = ProcessedWelcome::new_from_welcome(&provider, &config(), welcome).ok()?;
    let mut builder = JoinBuilder::new(&provider, processed).skip_lifetime_validation();
    if let Some(tree) = vector["ratchet_tree"].as_str() {
        builder = builder.with_ratchet_tree(RatchetTreeIn::tls_deserialize_exact(unhex(tree)).ok()?);
    }
    builder.build().ok()?.into_group(&provider).ok()
}

/// What one message of an epoch did.
#[derive(PartialEq, Debug)]
enum Step {
    Proposed,
    Merged,
    /// A key package in it has expired: OpenMLS asks the clock, and that was so at the vectors' time.
    Expired,
    Refused,
}

fn follow(group: &mut MlsGroup, store: &Store, message: &[u8]) -> Step {
    let provider = Provider::fixed(store);
    let message: ProtocolMessage = match parse(message) {
        Ok(MlsMessageBodyIn::PublicMessage(message)) => message.into(),
        Ok(MlsMessageBodyIn::PrivateMessage(message)) => message.into(),
        _ => return Step::Refused,
    };
    match group.process_message(&provider, message) {
        Ok(processed) => match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(&MemoryStorage::default(), *proposal).unwrap();
                Step::Proposed
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&provider, *commit).unwrap();
                Step::Merged
            }
            _ => Step::Refused,
        },
        Err(error) if format!("{error:?}").contains("Expired") => Step::Expired,
        Err(_) => Step::Refused,
    }
}

#[test]
fn every_welcome_of_another_implementation_is_joined() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/passive-client-welcome.json"));
    assert_eq!(vectors.len(), 8);
    for vector in &vectors {
        let group = join(vector, &Store::default(), &hex(vector, "welcome")).expect("the welcome holds");
        assert_eq!(group.epoch_authenticator().as_slice(), hex(vector, "initial_epoch_authenticator"));
        assert!(join(vector, &Store::default(), &flipped(&hex(vector, "welcome"))).is_none(), "control: one bit");
    }
}

#[test]
fn commits_of_another_implementation_lead_to_its_epochs() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/passive-client-handling-commit.json"));
    assert_eq!(vectors.len(), 13);
    let (mut epochs, mut expired) = (0, 0);
    for vector in &vectors {
        let store = Store::default();
        let mut group = join(vector, &store, &hex(vector, "welcome")).expect("the welcome holds");
        assert_eq!(group.epoch_authenticator().as_slice(), hex(vector, "initial_epoch_authenticator"));
        for epoch in vector["epochs"].as_array().unwrap() {
            let commit = hex(epoch, "commit");
            let proposals = epoch["proposals"].as_array().unwrap().iter().map(|proposal| unhex(proposal.as_str().unwrap()));
            let steps: Vec<_> = proposals.map(|proposal| follow(&mut group, &store, &proposal)).collect();
            if steps.contains(&Step::Expired) {
                expired += 1;
                break;
            }
            assert!(steps.iter().all(|step| *step == Step::Proposed), "{steps:?}");
            let before = store.checkpoint();
            assert_eq!(follow(&mut group, &store, &flipped(&commit)), Step::Refused, "control: one bit");
            store.roll_back(before);
            match follow(&mut group, &store, &commit) {
                Step::Merged => epochs += 1,
                Step::Expired => {
                    expired += 1;
                    break;
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(group.epoch_authenticator().as_slice(), hex(epoch, "epoch_authenticator"));
        }
    }
    assert_eq!((epochs, expired), (22, 4));
}

#[test]
fn every_message_of_another_implementation_is_read_and_written_the_same() {
    let vectors = list(include_str!("../../../../../tests/vectors/rfc9420/messages.json"));
    let names = [
        "mls_welcome",
        "mls_group_info",
        "mls_key_package",
        "public_message_application",
        "public_message_proposal",
        "public_message_commit",
        "private_message",
    ];
    let mut read = 0;
    for bytes in vectors.iter().flat_map(|vector| names.map(|name| hex(vector, name))) {
        parse(&bytes).expect("our reader takes it");
        let message = MlsMessageIn::tls_deserialize_exact(&bytes).unwrap();
        assert_eq!(message.tls_serialize_detached().unwrap(), bytes);
        let longer = [&bytes[..], &[0]].concat();
        for bad in [&bytes[..bytes.len() - 1], &longer] {
            assert!(matches!(parse(bad), Err(GroupError::Malformed)), "control: one byte less or more");
        }
        read += 1;
    }
    assert_eq!(read, 84);
}
