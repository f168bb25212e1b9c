//! What a person can have done to a damaged store: it is kept under another name, and what is still legible moves into a new one.
//!
//! Laws: the damaged file is never changed; the new one appears whole or not at all; each record is judged anew when the profile is
//! opened, so nothing false gets in. How much is legible depends on where the damage lies: with luck all but one record.

use super::layout::{ASIDE, META, RECORDS, SLOTS};
use super::profile::{Profile, open_private};
use super::{STORE, VaultError};
use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition, Value, WriteTransaction};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Moves the store out of the way and says where it is now.
pub(super) fn set_aside(profile: &Profile) -> Result<PathBuf, VaultError> {
    let path = profile.store_path();
    let aside = profile.aside_path();
    let [draft, rescued] = ["draft", "rescued"].map(|suffix| profile.directory().join(format!("{STORE}.{suffix}")));
    for left_over in [&draft, &rescued] {
        _ = fs::remove_file(left_over);
    }
    // A store that is missing is set aside as the empty file that it would be.
    open_private(&path)?;
    // Opening a store writes to it, so the copy is opened.
    fs::copy(&path, &draft).map_err(|source| VaultError::io(&path, source))?;
    open_private(&rescued)?;
    // redb checks its own pages only at opening, and may panic where it meets damage later; then what was read until then is not used.
    let is_legible = catch_unwind(AssertUnwindSafe(|| {
        let (old, new) = (Database::open(&draft)?, Database::create(&rescued)?);
        let transaction = new.begin_write()?;
        copy(&old, &transaction, META)?;
        copy(&old, &transaction, SLOTS)?;
        copy(&old, &transaction, RECORDS)?;
        copy(&old, &transaction, ASIDE)?;
        transaction.commit()?;
        Ok::<(), redb::Error>(())
    }));
    _ = fs::remove_file(&draft);
    profile.remember_store(false)?;
    fs::rename(&path, &aside).map_err(|source| VaultError::io(&path, source))?;
    match is_legible {
        Ok(Ok(())) => fs::rename(&rescued, &path).map_err(|source| VaultError::io(&path, source))?,
        Ok(Err(_)) | Err(_) => _ = fs::remove_file(&rescued),
    }
    Ok(aside)
}

fn copy<K: Key + 'static, V: Value + 'static>(
    old: &Database,
    new: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let source = old.begin_read()?.open_table(table)?;
    let mut target = new.open_table(table)?;
    for entry in source.iter()? {
        let (key, value) = entry?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}
