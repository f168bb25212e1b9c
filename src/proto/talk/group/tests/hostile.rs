//! What a stranger or a member may try: other forms of valid MLS, and bytes that are none.

use super::super::error::{OTHER_KEY_PACKAGE, TWICE};
use super::super::provider::{Crypto, Provider, SUITE};
use super::super::seat::{capabilities, checked, lifetime};
use super::super::store::Store;
use super::super::{GROUP_MESSAGE_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, wire};
use super::*;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, CommitBuilder, CredentialWithKey, Extensions, Initial, KeyPackage, KeyPackageIn, LeafNodeIndex,
    LeafNodeParameters, Lifetime, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;

fn package(rng: &mut Rng, name: &[u8], lifetime: Lifetime, capabilities: Capabilities) -> Vec<u8> {
    let seat = SeatKeys::generate(rng);
    let store = Store::default();
    KeyPackage::builder()
        .key_package_lifetime(lifetime)
        .leaf_node_capabilities(capabilities)
        .build(SUITE, &Provider::drawing(&store, rng), &seat.signing(), named(&seat, name))
        .unwrap()
        .key_package()
        .tls_serialize_detached()
        .unwrap()
}

fn named(seat: &SeatKeys, name: &[u8]) -> CredentialWithKey {
    CredentialWithKey { credential: BasicCredential::new(name.to_vec()).into(), ..seat.credential() }
}

/// A commit that a member makes with OpenMLS and a stock provider, past all our rules, and then takes back.
fn made_by<F>(table: &mut Table, by: usize, shape: F) -> Vec<u8>
where
    F: for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
{
    let Group { mls, signing, .. } = &mut table.groups[by];
    let stock = OpenMlsRustCrypto::default();
    let builder = shape(mls.commit_builder()).load_psks(stock.storage()).unwrap();
    let bundle = builder.build(stock.rand(), stock.crypto(), signing, |_| true).unwrap().stage_commit(&stock).unwrap();
    let commit = wire(bundle.commit()).unwrap();
    mls.clear_pending_commit(stock.storage()).unwrap();
    commit
}

#[test]
fn a_key_package_of_another_form_is_refused() {
    let rng = &mut Rng::new([30; 32]);
    assert!(check_key_package(&package(rng, &[1; 16], lifetime(), capabilities())).is_ok(), "the control");
    assert_eq!(check_key_package(&package(rng, &[1; 15], lifetime(), capabilities())), Err(OTHER_KEY_PACKAGE));
    assert_eq!(check_key_package(&package(rng, b"alice@example.org", lifetime(), capabilities())), Err(OTHER_KEY_PACKAGE));
    assert_eq!(check_key_package(&package(rng, &[1; 16], lifetime(), Capabilities::default())), Err(OTHER_KEY_PACKAGE));
    assert_eq!(check_key_package(&[0; KEY_PACKAGE_BYTES_MAX + 1]), Err(GroupError::Malformed));
}

#[test]
fn whether_a_key_package_is_taken_never_depends_on_the_clock() {
    // OpenMLS compares lifetimes with the OS's clock. Whatever it finds, every lifetime but the one without end is turned away.
    let rng = &mut Rng::new([31; 32]);
    for (from, until) in [(0, 1), (0, 4_000_000_000), (4_000_000_000, u64::MAX), (1, u64::MAX)] {
        assert_eq!(check_key_package(&package(rng, &[1; 16], Lifetime::init(from, until), capabilities())), Err(OTHER_KEY_PACKAGE));
    }
}

#[test]
fn two_seats_of_one_name_or_key_never_sit_together() {
    let mut table = table(3, 32);
    let same_name = package(&mut table.rng, &table.seats[2].id().0, lifetime(), capabilities());
    let same_key = table.seats[2].key_package(&mut table.rng).unwrap();
    let rng = &mut table.rng;
    assert_eq!(table.groups[0].admit_and_remove(rng, std::slice::from_ref(&same_name), None).err(), Some(TWICE));
    assert_eq!(table.groups[0].admit_and_remove(rng, std::slice::from_ref(&same_key), None).err(), Some(TWICE));
    let both = [same_key.clone(), same_key];
    assert_eq!(Group::found(rng, &table.seats[0], [1; 16], &both, &Key([0; 32]), PSK_ID).err(), Some(TWICE));

    let added = checked(&same_name).unwrap().1;
    let commit = made_by(&mut table, 0, |builder| builder.propose_adds([added]));
    assert_eq!(table.groups[1].open(&commit).err(), Some(TWICE), "nor when the chair does it all the same");
}

#[test]
fn a_commit_that_does_more_than_add_and_remove_is_refused() {
    let mut table = table(4, 33);
    let stranger = checked(&package(&mut table.rng, &[1; 16], lifetime(), capabilities())).unwrap().1;
    let expiring = package(&mut table.rng, &[2; 16], Lifetime::init(0, 4_000_000_000), capabilities());
    let expiring =
        KeyPackageIn::tls_deserialize_exact(expiring).unwrap().validate(&Crypto::fixed(), ProtocolVersion::Mls10).unwrap();
    let renamed = LeafNodeParameters::builder().with_credential_with_key(named(&table.seats[1], &[9; 16])).build();

    let commits = [
        made_by(&mut table, 1, |builder| builder.force_self_update(true)),
        made_by(&mut table, 1, |builder| builder.propose_group_context_extensions(Extensions::empty()).unwrap()),
        made_by(&mut table, 1, |builder| builder.propose_removals([LeafNodeIndex::new(2), LeafNodeIndex::new(3)])),
        made_by(&mut table, 1, |builder| builder.leaf_node_parameters(renamed).propose_removals([LeafNodeIndex::new(3)])),
        made_by(&mut table, 1, |builder| builder.propose_adds([expiring])),
    ];
    for (i, commit) in commits.iter().enumerate() {
        assert!(matches!(table.groups[0].open(commit), Err(GroupError::Refused(_))), "commit {i}");
    }
    let commit = made_by(&mut table, 1, |builder| builder.propose_adds([stranger]).propose_removals([LeafNodeIndex::new(3)]));
    let staged = staged(&mut table.groups[0], &commit);
    assert_eq!(staged.committer, table.seats[1].id(), "the control: it opens, and the caller sees that it is not the chair's");
    assert_eq!((staged.added.len(), staged.removed), (1, vec![table.seats[3].id()]));
}

#[test]
fn proposals_and_unsealed_commits_are_refused() {
    let mut table = table(3, 34);
    let stock = OpenMlsRustCrypto::default();
    let Group { mls, signing, .. } = &mut table.groups[1];
    let (proposal, _) = mls.propose_remove_member(&stock, signing, LeafNodeIndex::new(2)).unwrap();
    assert_eq!(table.groups[0].open(&wire(&proposal).unwrap()).err(), Some(GroupError::Refused("a proposal outside a commit")));
    assert!(table.groups[0].mls.pending_proposals().next().is_none());

    let mls = &mut table.groups[1].mls;
    mls.clear_pending_proposals(stock.storage()).unwrap();
    let plain = MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build();
    mls.set_configuration(stock.storage(), &plain).unwrap();
    let commit = made_by(&mut table, 1, |builder| builder.propose_removals([LeafNodeIndex::new(2)]));
    assert_eq!(table.groups[0].open(&commit).err(), Some(GroupError::Refused("a message that is not sealed")));
}

#[test]
fn a_message_for_another_group_is_foreign() {
    let mut one = table(2, 35);
    let mut other = table(2, 36);
    let sealed = other.seal(0, "hello");
    assert_eq!(text(&mut one.groups[1], &sealed), Err(GroupError::Forged), "same id, other keys");
    let package = other.seats[1].key_package(&mut other.rng).unwrap();
    let (mut third, _) = Group::found(&mut other.rng, &other.seats[0], [8; 16], &[package], &Key([0; 32]), PSK_ID).unwrap();
    let sealed = third.seal(&mut other.rng, b"hello").unwrap();
    assert_eq!(text(&mut one.groups[1], &sealed), Err(GroupError::Foreign));
}

/// One to three random changes: a bit, a byte, a cut, a repeated piece, a length.
fn mutated(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.bytes::<1>()[0],
            2 => bytes.truncate(at.max(1)),
            3 => {
                let piece = bytes[at..(at + 40).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes[at] = [0x00, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff][rng.below(8) as usize],
            _ => drop(bytes.splice(at..(at + 4).min(bytes.len()), [0xbf, 0xff, 0xff, 0xff])),
        }
    }
    bytes
}

#[test]
fn no_mutated_bytes_are_taken_and_none_panic() {
    let mut table = table(2, 37);
    let mut guest = SeatKeys::generate(&mut table.rng);
    let package = guest.key_package(&mut table.rng).unwrap();
    let sealed = table.seal(0, "a line of text");
    let made = table.groups[0].admit_and_remove(&mut table.rng, std::slice::from_ref(&package), None).unwrap();
    let welcome = made.welcome.unwrap();
    let rng = &mut Rng::new([38; 32]);
    let member = &mut table.groups[1];
    for round in 0..4_000 {
        let changed = |rng: &mut Rng, bytes: &[u8]| Some(mutated(rng, bytes)).filter(|changed| changed != bytes);
        let taken = match round % 4 {
            0 => changed(rng, &package).is_some_and(|bytes| check_key_package(&bytes).is_ok()),
            1 => changed(rng, &welcome).is_some_and(|bytes| Group::join(&mut guest, &bytes, None).is_ok()),
            2 => changed(rng, &sealed).is_some_and(|bytes| member.open(&bytes).is_ok()),
            _ => changed(rng, &made.commit).is_some_and(|bytes| member.open(&bytes).is_ok()),
        };
        assert!(!taken, "round {round}");
    }
    assert!(
        check_key_package(&package).is_ok() && Group::join(&mut guest, &welcome, None).is_ok(),
        "the control: unchanged they work"
    );
    assert_eq!(text(member, &sealed).unwrap(), "a line of text");
    assert_eq!(staged(member, &made.commit).added.len(), 1);
}

#[test]
fn a_welcome_longer_than_hpke_promises_to_take_is_turned_away() {
    let mut table = table(2, 39);
    let mut guest = SeatKeys::generate(&mut table.rng);
    let package = guest.key_package(&mut table.rng).unwrap();
    let welcome = table.groups[0].admit_and_remove(&mut table.rng, &[package], None).unwrap().welcome.unwrap();
    // The sealed group info comes last, behind its length in two bytes (RFC 9420 section 2.1.2).
    let is_length =
        |at: &usize| usize::from(u16::from_be_bytes([welcome[*at], welcome[at + 1]]) ^ 0x4000) == welcome.len() - at - 2;
    let at = (4..welcome.len() - 2).find(is_length).unwrap();
    let long = 70_000u32;
    let padded = [&welcome[..at], &(0x8000_0000 | long).to_be_bytes(), &vec![0; long as usize]].concat();
    assert!(padded.len() < GROUP_MESSAGE_BYTES_MAX);
    assert_eq!(Group::join(&mut guest, &padded, None).err(), Some(GroupError::Forged));
    assert!(Group::join(&mut guest, &welcome, None).is_ok(), "the control");
}

#[test]
fn nothing_draws_at_random_without_a_generator() {
    use openmls_traits::random::OpenMlsRand;
    let store = Store::default();
    assert!(Crypto::fixed().random_array::<32>().is_err() && Provider::fixed(&store).rand().random_vec(8).is_err());
    let mut rng = Rng::new([40; 32]);
    assert!(Provider::drawing(&store, &mut rng).rand().random_array::<32>().is_ok());
}
