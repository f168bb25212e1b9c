//! Every bound and interval of the core, each with its unit and its reason.

pub use std::time::Duration;

/// One cell on a link: 244 bytes fill one BLE packet at ATT MTU 247.
pub const CELL_BYTES: usize = 244;
/// What a cell carries: 244 minus the AEAD tag (16) and the cell's header (4).
pub const CELL_CONTENT_BYTES: usize = 224;
/// A small parcel: 2 cells.
pub const PARCEL_SMALL_BYTES: usize = 2 * CELL_CONTENT_BYTES;
/// A large parcel: 16 cells.
pub const PARCEL_LARGE_BYTES: usize = 16 * CELL_CONTENT_BYTES;
/// Messages larger than one parcel are split; this many large parcels at most (~110 kB: a document after 5,000 changes fits).
pub const PARCEL_PARTS_MAX: u8 = 32;

/// Every blob at the relay has this size, whatever is in it.
pub const RELAY_BLOB_BYTES: usize = 4096;
/// Every message between a device and its relay, either way: a blob and 64 bytes of header.
pub const RELAY_MESSAGE_BYTES: usize = RELAY_BLOB_BYTES + 64;
/// The longest a relay keeps a blob: an event of several days, with the way home.
pub const RELAY_HOURS_MAX: u8 = 168;

/// The name of a vault record.
pub const RECORD_NAME_BYTES_MAX: usize = 64;
/// The value of a vault record: a saved document with room to spare.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// One change of the notes, as received (notes/crypto.md: larger ones are not written by our own editor).
pub const CHANGE_BYTES_MAX: usize = 64 * 1024;
/// Operations in one change.
pub const CHANGE_OPS_MAX: usize = 4_096;
/// Dependencies of one change.
pub const CHANGE_DEPS_MAX: usize = 64;
/// The changes of the notes that this device can take back, newest first: a minute of typing.
pub const UNDO_CHANGES_MAX: usize = 64;
/// The text of one agenda or action item: two lines on a phone, and still a small parcel.
pub const ITEM_TEXT_BYTES_MAX: usize = 240;
/// Items of the agenda, and of the action list: what a person still reads.
pub const ITEMS_MAX: usize = 100;
/// The name of a mark in the notes ("bold").
pub const MARK_NAME_BYTES_MAX: usize = 16;
/// The value of a mark in the notes ("true", or an address).
pub const MARK_VALUE_BYTES_MAX: usize = 120;
/// A change is cut when its estimate passes this: sealed and framed it still fits a small parcel.
pub const CHANGE_CUT_BYTES: usize = 180;
/// A saved document from a peer.
pub const DOCUMENT_BYTES_MAX: usize = 100 * 1024;
/// The same document with its columns inflated: twenty times what may travel, where a bomb reaches a thousand times.
pub const DOCUMENT_INFLATED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A job that takes longer is ended by the shell.
pub const JOB_TIME_MAX: Duration = Duration::from_secs(2);
/// A job's worker may not use more memory.
pub const JOB_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;
