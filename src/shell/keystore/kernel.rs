//! The Linux kernel's user keyring (`man 7 user-keyring`): keys in unswappable kernel memory, found again by the same user's processes.
//!
//! Laws: a key is *invalidated*, not only revoked, since revoked keys linger for minutes; every process of the user may read it,
//! whatever its session, because permission is given to the user and not only to who possesses the key.

use super::KeystoreError;
use crate::proto::secret::Key;
use linux_keyutils as keyutils;
use linux_keyutils::{KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};

/// A deleted name may be found again as often as it was linked; each round removes one.
const DELETE_ROUNDS_MAX: usize = 4;

/// The description under which a profile's key of one generation is found.
pub fn name(profile: &[u8; 16], generation: u64) -> String {
    let profile: String = profile.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("alcove:{profile}:{generation}")
}

/// Adds or replaces the key.
pub fn put(name: &str, key: &Key) -> Result<(), KeystoreError> {
    // A fresh key grants rights to its possessor alone, and a process whose session keyring does not link `@u` (a systemd service)
    // does not possess what lies in `@u`. So the key is born in the thread's own keyring, made readable for the user, and then linked.
    let birthplace = KeyRing::from_special_id(KeyRingIdentifier::Thread, true).map_err(unavailable)?;
    let born = birthplace.add_key(name, &key.0).map_err(unavailable)?;
    let permissions = KeyPermissionsBuilder::builder().posessor(Permission::ALL).user(Permission::ALL).build();
    let linked = born.set_perms(permissions).and_then(|()| user_ring()?.link_key(born));
    let left = birthplace.unlink_key(born);
    linked.and(left).map_err(unavailable)
}

/// The key, or `None` if the kernel says that there is none.
pub fn read(name: &str) -> Result<Option<Key>, KeystoreError> {
    let Some(found) = find(name)? else { return Ok(None) };
    let mut key = Key([0; 32]);
    match found.read(&mut key.0) {
        Ok(32) => Ok(Some(key)),
        Ok(length) => Err(KeystoreError::Unavailable(format!("a key of {length} bytes"))),
        Err(error) if is_absence(error) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Invalidates the key and checks that neither its name nor its number leads to its content any more.
pub fn delete(name: &str) -> Result<(), KeystoreError> {
    for _ in 0..DELETE_ROUNDS_MAX {
        let Some(found) = find(name)? else { return Ok(()) };
        found.invalidate().map_err(unavailable)?;
        // The collector removes the link soon; until then the name would be found as a dead key. Failing here means it was faster.
        _ = user_ring().and_then(|ring| ring.unlink_key(found));
        let mut rest = Key([0; 32]);
        if found.read(&mut rest.0).is_ok() {
            return Err(KeystoreError::NotDeleted("the kernel's keyring"));
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<Option<keyutils::Key>, KeystoreError> {
    match user_ring().map_err(unavailable)?.search(name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(error) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

fn user_ring() -> Result<KeyRing, KeyError> {
    KeyRing::from_special_id(KeyRingIdentifier::User, true)
}

/// Whether the kernel's answer means that no such key exists, as opposed to that it would not say.
fn is_absence(error: KeyError) -> bool {
    matches!(error, KeyError::KeyDoesNotExist | KeyError::KeyRevoked | KeyError::KeyExpired)
}

fn unavailable(error: KeyError) -> KeystoreError {
    KeystoreError::Unavailable(format!("{error:?}"))
}
