//! Every bound and interval of the beacon, with its unit and its reason. Times are microseconds. What it shares with the app has the
//! app's values.

/// A second.
const SECOND_US: u64 = 1_000_000;

/// One cell on a link.
pub const CELL_BYTES: usize = 244;
/// A cell before it is sealed: 16 bytes less, the AEAD's tag.
pub const CELL_PLAIN_BYTES: usize = CELL_BYTES - 16;
/// What a cell carries behind its header of 4.
pub const CELL_CONTENT_BYTES: usize = CELL_PLAIN_BYTES - 4;
/// A small parcel: two cells. Large ones, of sixteen, would fill the store each: they are passed over.
pub const PARCEL_BYTES: usize = 2 * CELL_CONTENT_BYTES;
/// Cells of the largest frame.
pub const FRAME_CELLS_MAX: u8 = 16;
/// Service data of an advert.
pub const ADVERT_BYTES: usize = 10;

/// An id stays so long at least, and at most: as the phones'.
pub const ROTATION_US: (u64, u64) = (8 * 60 * SECOND_US, 15 * 60 * SECOND_US);
/// Silence between two ids, as the phones'.
pub const GAP_US: (u64, u64) = (2 * SECOND_US, 20 * SECOND_US);
/// Between two adverts, while somebody is about: a phone that listens for a tenth of its time hears it within half a minute. It is slow
/// enough, by the app's rule of 752 µs for each device in range, for 1,300 of them.
pub const ADVERTISE_INTERVAL_US: u32 = 1_000_000;
/// The same in an empty hall: the app's slowest.
pub const ADVERTISE_INTERVAL_ALONE_US: u32 = 3_000_000;
/// How long it listens in each gap: a phone that is alone with it shows itself every 250 ms, and in a crowd somebody always does.
pub const LISTEN_US: u32 = 300_000;
/// Ids reserved by one write to the flash: two days of them.
pub const BLOCK_IDS: u64 = 256;
/// A slot of the flash that does not read as it was written is tried again so often; then the flash is worn out, and the table silent.
pub const FLASH_TRIES: u32 = 3;

/// Links at once: each takes 512 bytes here, and 200 of `snow`'s on the heap.
pub const LINKS_MAX: usize = 3;
/// A handshake that takes longer is given up.
pub const HANDSHAKE_TIME_MAX_US: u64 = 5 * SECOND_US;
/// A link over which nothing new came or went for so long gives its place to the next.
pub const IDLE_TIME_MAX_US: u64 = 15 * SECOND_US;
/// And any link ends after so long.
pub const CONTACT_TIME_MAX_US: u64 = 120 * SECOND_US;
/// Cells that one contact may bring: 32 parcels, four times the store.
pub const CONTACT_CELLS_MAX: u8 = 64;
/// A handshake costs two curve multiplications: one in this time,
pub const HANDSHAKE_INTERVAL_US: u64 = 2 * SECOND_US;
/// and so many at once.
pub const HANDSHAKES_AT_ONCE: u64 = 8;

/// Parcels carried.
pub const CARRIED_MAX: usize = 8;
/// Ephemeral parcels on their way from one link to the others.
pub const PASSING_MAX: usize = 2;
/// A parcel is carried so long: as the phones do. Without a clock it is no hour of the day; whoever is given one that is over refuses it.
pub const CARRY_TIME_US: u64 = 24 * 3600 * SECOND_US;
/// An ephemeral one that could not be passed on by then is old news.
pub const PASSING_TIME_US: u64 = 10 * SECOND_US;
/// Parcels remembered as seen, of each place: a place that floods forgets its own.
pub const SEEN_PER_PLACE: usize = 32;
/// What a place has brought counts half after this time, as in the app.
pub const CROWD_HALF_LIFE_US: u64 = 60 * SECOND_US;
/// Larger crowds are not passed on at once, as in the app.
pub const EAGER_CROWD_MAX: u8 = 10;
