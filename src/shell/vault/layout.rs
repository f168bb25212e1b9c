//! How the vault lies on the disk: three tables, and how a data key and a record are sealed into them.
//!
//! Laws: nothing of a record is readable without its scope's key, its name included; a sealed value opens only at the place it was
//! sealed for. Not hidden: how many talks and records there are, how long each record is, and each talk's random id. Not prevented: that
//! somebody with write access to the disk puts back an older version of a record.
//!
//! ```text
//! meta    name               -> see `meta`
//! slots   talk (16)          -> nonce (24) | XChaCha20-Poly1305(kek of the generation, data key (32)),  aad = domain | generation | talk
//! records place (33)         -> nonce (24) | XChaCha20-Poly1305(data key, length of name (1) | name | value),  aad = domain | place
//! aside   place (33)         -> what lay there when it proved damaged
//! place = scope (0 and zeros, or 1 and the talk) | HMAC(name key, name)[..16],  name key = HKDF(data key, "alcove/1 vault name")
//! ```

use crate::proto::id::TalkId;
use crate::proto::io::Scope;
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use redb::TableDefinition;

/// Facts about the whole vault, under the names in [`meta`].
pub const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// The data key of each talk, wrapped.
pub const SLOTS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("slots");
/// Every record, sealed.
pub const RECORDS: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("records");
/// What could not be opened, kept as it was.
pub const ASIDE: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("aside");

/// The names in [`META`].
pub mod meta {
    /// The layout's version, one byte.
    pub const FORMAT: &str = "format";
    /// 16 random bytes that tell this profile's keys in a shared keystore from those of others.
    pub const PROFILE: &str = "profile";
    /// The keystore's kind, one byte.
    pub const KEYSTORE: &str = "keystore";
    /// The generation of the forgetting key that wraps every slot, 8 bytes little-endian. The commit that changes it *is* the erasure's
    /// decision: from then on the generation before is deleted, now or at the next opening.
    pub const GENERATION: &str = "generation";
    /// Shows whether a durable key is the right one: 16 bytes.
    pub const DURABLE_CHECK: &str = "durable";
}

/// The layout that this program writes.
pub const FORMAT: u8 = 1;

/// Where a record lies.
pub type Place = [u8; 33];

const NONCE_BYTES: usize = 24;

/// The first and last possible place of a scope.
pub fn places(scope: Scope) -> (Place, Place) {
    (place_with(scope, [0; 16]), place_with(scope, [0xff; 16]))
}

/// The first place that belongs to a talk, and the last.
pub fn talk_places() -> (Place, Place) {
    (place_with(Scope::Talk(TalkId([0; 16])), [0; 16]), place_with(Scope::Talk(TalkId([0xff; 16])), [0xff; 16]))
}

/// The place of a name, unreadable without the data key.
pub fn place(data_key: &Key, scope: Scope, name: &[u8]) -> Place {
    let mac = data_key.derive("alcove/1 vault name", &[]).mac(&[name]);
    let mut label = [0; 16];
    label.copy_from_slice(&mac[..16]);
    place_with(scope, label)
}

/// The scope a place belongs to.
pub fn scope_of(place: &Place) -> Scope {
    let mut talk = [0; 16];
    talk.copy_from_slice(&place[1..17]);
    if place[0] == 0 { Scope::Durable } else { Scope::Talk(TalkId(talk)) }
}

/// How a damaged record is named to people: its scope and the start of its label, since its name cannot be read.
pub fn describe(place: &Place) -> String {
    let label: String = place[17..21].iter().map(|byte| format!("{byte:02x}")).collect();
    match scope_of(place) {
        Scope::Durable => format!("durable/{label}"),
        Scope::Talk(talk) => format!("{talk}/{label}"),
    }
}

/// Seals a record for its place. The name must have at most 255 bytes.
pub fn seal_record(rng: &mut Rng, data_key: &Key, place: &Place, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut plaintext = Vec::with_capacity(1 + name.len() + value.len());
    plaintext.push(name.len() as u8);
    plaintext.extend_from_slice(name);
    plaintext.extend_from_slice(value);
    seal(rng, data_key, &record_aad(place), &plaintext)
}

/// The name and value of the record at this place; `None` if one bit of it, its place or its key is wrong.
pub fn open_record(data_key: &Key, at: &Place, sealed: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let plaintext = open(data_key, &record_aad(at), sealed)?;
    let (&length, rest) = plaintext.split_first()?;
    let (name, value) = rest.split_at_checked(usize::from(length))?;
    (place(data_key, scope_of(at), name) == *at).then(|| (name.to_vec(), value.to_vec()))
}

/// Wraps a talk's data key under the forgetting key of a generation.
pub fn wrap(rng: &mut Rng, forgetting: &Key, generation: u64, talk: TalkId, data_key: &Key) -> Vec<u8> {
    seal(rng, forgetting, &slot_aad(generation, talk), &data_key.0)
}

/// Opens what [`wrap`] made.
pub fn unwrap(forgetting: &Key, generation: u64, talk: TalkId, slot: &[u8]) -> Option<Key> {
    let bytes = open(forgetting, &slot_aad(generation, talk), slot)?;
    Some(Key(bytes.try_into().ok()?))
}

fn seal(rng: &mut Rng, key: &Key, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let nonce = rng.bytes::<NONCE_BYTES>();
    [&nonce[..], &key.seal_x(&nonce, aad, plaintext)].concat()
}

fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    key.open_x(nonce, aad, ciphertext)
}

fn place_with(scope: Scope, label: [u8; 16]) -> Place {
    let mut place = [0; 33];
    if let Scope::Talk(talk) = scope {
        place[0] = 1;
        place[1..17].copy_from_slice(&talk.0);
    }
    place[17..].copy_from_slice(&label);
    place
}

fn record_aad(place: &Place) -> Vec<u8> {
    [b"alcove/1 vault record".as_slice(), place].concat()
}

fn slot_aad(generation: u64, talk: TalkId) -> Vec<u8> {
    [b"alcove/1 vault slot".as_slice(), &generation.to_le_bytes(), &talk.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: Scope = Scope::Talk(TalkId([7; 16]));

    #[test]
    fn a_record_opens_only_at_its_own_place_and_only_unchanged() {
        let mut rng = Rng::new([1; 32]);
        let key = Key(rng.bytes());
        let here = place(&key, TALK, b"notes");
        let sealed = seal_record(&mut rng, &key, &here, b"notes", b"value");
        assert_eq!(open_record(&key, &here, &sealed), Some((b"notes".to_vec(), b"value".to_vec())));
        for there in [
            place(&key, TALK, b"other"),
            place(&key, Scope::Durable, b"notes"),
            place(&key, Scope::Talk(TalkId([8; 16])), b"notes"),
        ] {
            assert_eq!(open_record(&key, &there, &sealed), None);
        }
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_record(&key, &here, &changed), None, "bit {bit}");
        }
        assert_eq!(open_record(&key, &here, &[]), None);
    }

    #[test]
    fn a_wrapped_key_opens_only_in_its_generation_and_talk() {
        let mut rng = Rng::new([2; 32]);
        let (forgetting, data_key) = (Key(rng.bytes()), Key(rng.bytes()));
        let slot = wrap(&mut rng, &forgetting, 4, TalkId([7; 16]), &data_key);
        assert_eq!(unwrap(&forgetting, 4, TalkId([7; 16]), &slot), Some(data_key));
        assert_eq!(unwrap(&forgetting, 5, TalkId([7; 16]), &slot), None);
        assert_eq!(unwrap(&forgetting, 4, TalkId([8; 16]), &slot), None);
    }

    #[test]
    fn a_name_leaves_no_trace_in_its_place() {
        let mut rng = Rng::new([3; 32]);
        let (one, other) = (Key(rng.bytes()), Key(rng.bytes()));
        assert_ne!(place(&one, TALK, b"notes"), place(&other, TALK, b"notes"));
        assert_eq!(scope_of(&place(&one, TALK, b"notes")), TALK);
        assert_eq!(scope_of(&place(&one, Scope::Durable, b"notes")), Scope::Durable);
    }
}
