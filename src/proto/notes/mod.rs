//! The shared notes of a talk: one Automerge document of text, agenda and actions, and everything that keeps it alive among people
//! who may not wish it well.
//!
//! Laws: whoever has the same changes sees the same notes, in whatever order they came; no remote change reaches a live document
//! before the [`quarantine`] has tried it on a copy; what was deleted is gone from the bytes after a [`fold()`].
//! Only the files of this folder name `automerge`. They send nothing and store nothing: they turn bytes into bytes.

mod carry;
mod chunk;
mod cursor;
mod diff;
mod document;
mod edit;
pub mod exchange;
mod fold;
mod placement;
pub mod quarantine;
mod reproduce;
mod typing;
mod undo;
mod view;
mod vocabulary;

#[cfg(test)]
mod laws;

pub use chunk::{change_deps, change_hash};
pub use diff::{Hunk, hunks};
pub use document::{ChangeBytes, Document, NotAdopted, actor};
pub use edit::Edit;
pub use fold::{fold, rebase, written_at};
pub use typing::Run;
pub use undo::Undone;
pub use view::{ActionItem, AgendaItem, MarkSpan, View};
