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
/// A saved document from a peer.
pub const DOCUMENT_BYTES_MAX: usize = 100 * 1024;
/// A job that takes longer is ended by the shell.
pub const JOB_TIME_MAX: Duration = Duration::from_secs(2);
/// A job's worker may not use more memory.
pub const JOB_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Parcels remembered as seen: a day of a busy room's traffic; 24 bytes each.
pub const SEEN_MAX: usize = 65_536;
/// How long an ephemeral parcel is remembered: longer than any path through the mesh takes.
pub const EPHEMERAL_MEMORY: Duration = Duration::from_secs(300);
/// What a device carries for others and itself.
pub const CARRIED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nobody carries a parcel longer than this from first sight.
pub const CARRY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often neighbours ask each other whether anything is missing.
pub const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Up to this many neighbours get every parcel at once.
pub const FORWARD_ALL_LINKS_MAX: usize = 6;

/// Links at once; more are refused.
pub const LINKS_MAX: usize = 64;
/// A handshake that takes longer is given up.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Cards on the board: more than one person reads.
pub const CARDS_MAX: usize = 5_000;
/// The longest life of a card and of its talk: a week.
pub const CARD_HOURS_MAX: u8 = 168;
/// One line on a phone, in characters.
pub const TOPIC_CHARS_MAX: usize = 120;
/// Tags per card.
pub const TAGS_MAX: usize = 8;
/// One tag, in characters.
pub const TAG_CHARS_MAX: usize = 32;
/// Seats in one talk.
pub const SEATS_MAX: u8 = 50;
/// Talks of one device at once.
pub const TALKS_MAX: usize = 32;

/// Buckets that every phone reads at the relay, whether it has a talk in them or not.
pub const BUCKETS_READ: u16 = 4;
/// Blobs that wait for the relay; the oldest are dropped (their senders' next beacon brings them again).
pub const OUTBOX_MAX: usize = 256;
/// Parcels for one mailbox are gathered this long, so that several share a blob.
pub const OUTBOX_GATHER: Duration = Duration::from_millis(150);
/// After a refusal the relay is left in peace this long.
pub const RELAY_PAUSE: Duration = Duration::from_secs(2);
