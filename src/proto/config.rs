//! Every bound and interval of the core, each with its unit and its reason.

pub use std::time::Duration;

/// One cell on a link: 244 bytes fill one BLE packet at ATT MTU 247.
pub const CELL_BYTES: usize = 244;
/// Cells of a link by radio that may be there before one that precedes them: as many as a frame has.
pub const EARLY_CELLS_MAX: usize = 16;
/// Service data of an advert: what BlueZ lets through under a 128-bit UUID, beside the flags.
pub const ADVERT_BYTES: usize = 10;
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
/// A change is cut when its estimate passes this: sealed and framed it fits two small parcels, of which its own head takes a quarter.
pub const CHANGE_CUT_BYTES: usize = 560;
/// A saved document from a peer.
pub const DOCUMENT_BYTES_MAX: usize = 100 * 1024;
/// The same document with its columns inflated: twenty times what may travel, where a bomb reaches a thousand times.
pub const DOCUMENT_INFLATED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A job that takes more of the processor is ended by the shell.
pub const JOB_TIME_MAX: Duration = Duration::from_secs(2);
/// A job's worker may not use more memory.
pub const JOB_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Parcels remembered as seen: a day of a busy hall's traffic; about 150 bytes each with their order.
pub const SEEN_MAX: usize = 65_536;
/// A lasting parcel that was passed on to nobody when it came is not kept under the radio's next id if it is younger: three times
/// [`RECONCILE_INTERVAL`], in which the neighbours are told of it.
pub const MARK_TIME_MAX: Duration = Duration::from_secs(90);
/// How long an ephemeral parcel is remembered: longer than any path through the mesh takes.
pub const EPHEMERAL_MEMORY: Duration = Duration::from_secs(300);
/// What a device carries for others and itself.
pub const CARRIED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nobody carries a parcel longer than this from first sight.
pub const CARRY_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often neighbours ask each other whether anything is missing.
pub const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// A neighbour's sketch is heard, and what it lacks handed over, once in this time; others are not heard.
pub const RECONCILE_ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// What one answer hands over at most: more would fill a link's queue. The rest follows at once in another round.
pub const RECONCILE_ANSWER_BYTES_MAX: usize = 128 * 1024;
/// Symbols of a sketch in one cell: 4 bytes each beside the head of the word.
pub const SYMBOLS_PER_CELL: usize = 53;
/// Symbols of one round: 19 cells find some 600 differences, what both can hand over in one answer.
pub const RECONCILE_SYMBOLS_MAX: usize = 19 * SYMBOLS_PER_CELL;
/// A round is about one parcel in two to this power at least: with two full devices 9,300 · 2 / 2⁸ differ.
pub const RECONCILE_SLICE_MAX: u8 = 8;
/// Up to this many neighbours get every parcel at once.
pub const FORWARD_ALL_LINKS_MAX: usize = 6;

/// What we made ourselves is told to one neighbour, and to the others so much later: by then they have it from others, or soon will.
pub const FRESH_DELAY_MIN: Duration = Duration::from_millis(200);
/// See [`FRESH_DELAY_MIN`]. A word is late by this much at most, where the first neighbour does not pass it on.
pub const FRESH_DELAY_MAX: Duration = Duration::from_millis(600);
/// So many wait at most: what a whole document takes. More is told to all at once.
pub const FRESH_MAX: usize = 256;

/// What a neighbour has brought counts half after this time: bursts pass, a flood does not.
pub const CROWD_HALF_LIFE: Duration = Duration::from_secs(60);
/// The same for cards, which stand for hours.
pub const CARDS_HALF_LIFE: Duration = Duration::from_secs(3600);
/// Up to this crowd parcels are passed on at once: 2,047 in the count, so 17 a second for long, a quarter of what a Bluetooth link
/// carries. A hall's honest talks stay below.
pub const EAGER_CROWD_MAX: u8 = 10;
/// Parcels of a larger crowd go on when neighbours compare what they carry, so many in [`RECONCILE_INTERVAL`]: 8 a second.
pub const CROWDED_PER_ROUND_MAX: usize = 256;
/// What a device makes begins in a crowd below this, drawn at random, so that a small one does not tell whose it is.
pub const OWN_CROWD_MAX: u8 = 3;

/// Links at once; more are refused.
pub const LINKS_MAX: usize = 64;
/// A handshake that takes longer is given up.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// An id on the radio stays so long at least, and at most: Bluetooth 6.1's range for private addresses.
pub const ROTATION_MIN: Duration = Duration::from_secs(8 * 60);
/// See [`ROTATION_MIN`].
pub const ROTATION_MAX: Duration = Duration::from_secs(15 * 60);
/// Between two ids a device is silent so long at least,
pub const SILENT_GAP_MIN: Duration = Duration::from_secs(2);
/// and at most: long enough that in a hall several others begin meanwhile.
pub const SILENT_GAP_MAX: Duration = Duration::from_secs(20);
/// Over a link by radio its ends say so often whose members they are: a cell each, and nobody is unknown for longer.
pub const MEMBER_PROOF_INTERVAL: Duration = Duration::from_secs(20);
/// A presence key is hashed forward as often: an id lives no longer.
pub const PRESENCE_STEP: Duration = Duration::from_secs(15 * 60);
/// So many steps clocks may differ, either way.
pub const PRESENCE_STEPS_KEPT: u32 = 2;
/// A key is told in what is carried for a day; an older one is passed over, so that nobody makes us hash for long.
pub const PRESENCE_STEPS_MAX: u32 = 24 * 4;
/// Whoever asks again and again is told the key as often at most.
pub const PRESENCE_TELL_INTERVAL: Duration = Duration::from_secs(60);
/// Whoever hears somebody close by and does not know its key asks as often at most.
pub const PRESENCE_ASK_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Whoever switches the radio on wants to see who is there: it listens all the time for so long.
pub const EAGER_LISTENING: Duration = Duration::from_secs(60);
/// Who was not heard for so long is not near any more: three times what a phone in the background needs to hear one of a hundred.
pub const NEAR_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Ids remembered as heard: a hall's; of more, those heard least often go first.
pub const SIGHTINGS_MAX: usize = 1_024;
/// The quickest advertising: Android's "low latency" is 100 ms, "balanced" 250 ms.
pub const ADVERTISE_INTERVAL_MIN: Duration = Duration::from_millis(250);
/// The slowest: Apple's last recommended one is 1,285 ms, and in a crowd it may be slower.
pub const ADVERTISE_INTERVAL_MAX: Duration = Duration::from_secs(3);
/// The interval per device in range at which the most adverts are heard clean: twice the air time of 31 bytes on one channel.
pub const ADVERTISE_INTERVAL_PER_DEVICE: Duration = Duration::from_micros(752);
/// Links that a device opens by radio: what phones carry beside those that others open.
pub const RADIO_DIALED_MAX: usize = 6;
/// Of two devices the one with the higher id waits so long for the other to open a link, which may not hear it.
pub const DIAL_PATIENCE: Duration = Duration::from_secs(15);
/// A table's id is believed for so long after it was first heard: the longest that a beacon shows one, and some for its clock. What is
/// heard later is a record.
pub const TABLE_ID_LIFE_MAX: Duration = Duration::from_secs(16 * 60);
/// Ids of tables remembered, believed or not: those of five tables over half a day.
pub const TABLE_IDS_MAX: usize = 256;
/// A visit to a table that has brought nothing for so long is over: a beacon gives all it has at once, and lets in three.
pub const TABLE_QUIET_MAX: Duration = Duration::from_secs(5);
/// And any visit after so long, whatever comes: as the beacon does.
pub const TABLE_VISIT_MAX: Duration = Duration::from_secs(120);
/// Parcels kept for the next visit to the table where they were said: as many as it carries.
pub const LEFT_AT_TABLE_MAX: usize = 8;
/// After a link could not be opened or was lost it is tried again after so long,
pub const RADIO_RETRY_MIN: Duration = Duration::from_secs(2);
/// and at most so long: some radios fail silently when they are pressed.
pub const RADIO_RETRY_MAX: Duration = Duration::from_secs(60);
/// A link that was ordered and neither came nor failed is given up: a phone's connect timeout, and some.
pub const RADIO_CONNECT_MAX: Duration = Duration::from_secs(35);

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

/// One message to all, in characters.
pub const SAY_CHARS_MAX: usize = 2_000;
/// The body of one entry: a pasted change fits, and a vouched offer.
pub const ENTRY_BYTES_MAX: usize = 80 * 1024;
/// Entries of one seat that may wait for an earlier one.
pub const LINE_WAITING_MAX: u32 = 4_096;
/// And what all of them may hold: three of the largest, or what is said in an hour. Those farther ahead are asked for again.
pub const LINE_WAITING_BYTES_MAX: usize = 256 * 1024;

/// People who may ask for a seat before the room opens; more are declined.
pub const CANDIDATES_MAX: usize = 64;
/// A seat that does not open its contribution within this time returns to the queue.
pub const REVEAL_TIME_MAX: Duration = Duration::from_secs(60);
/// The same when a seat was last heard through the relay: its train may be in a tunnel.
pub const REVEAL_TIME_MAX_BY_RELAY: Duration = Duration::from_secs(600);
/// Those who wait for a seat are told together how many are taken, so long after it has changed.
pub const COUNT_GATHER: Duration = Duration::from_secs(2);
/// How soon a guest says again what was not answered,
pub const SEAT_RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// and how long it waits at most: what it said is carried meanwhile.
pub const SEAT_RETRY_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// How long a guest still waits when the card is gone: its host may have admitted it in the last moment, and what it said then is carried.
pub const CARD_GONE_PATIENCE: Duration = Duration::from_secs(600);
/// How often a guest whose seat is noted says that it is still there.
pub const OFFER_INTERVAL: Duration = Duration::from_secs(300);

/// The quickest beacon: news about a gap is this old at most.
pub const BEACON_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The slowest beacon: a seat that left the table is missed after three of them.
pub const BEACON_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// A seat at the table is thought gone when it was not heard over a link for so long.
pub const TABLE_SILENCE_MAX: Duration = Duration::from_secs(90);
/// Beacons through the relay, where each costs a blob.
pub const RELAY_BEACON_INTERVAL: Duration = Duration::from_secs(300);
/// One ask at most in this time; answers to the same gap from two members cross otherwise. While the same difference stays the time
/// doubles, up to [`BEACON_INTERVAL_MAX`].
pub const ASK_INTERVAL: Duration = Duration::from_millis(800);
/// Differences between members that are remembered as not new: with one seat that runs twice there are a few.
pub const DIFFERENCES_MAX: usize = 32;
/// A member that lacks the document asks for it this often.
pub const DOCUMENT_ASK_INTERVAL: Duration = Duration::from_secs(15);
/// Who is asked for the document waits up to so long whether another answers first.
pub const DOCUMENT_ANSWER_DELAY_MAX: Duration = Duration::from_secs(2);
/// How much one answer to an ask carries; the rest is asked for again.
pub const ANSWER_BYTES_MAX: usize = 96 * 1024;
/// So many of its entries a seat says again when it leaves.
pub const LAST_WORDS: u32 = 8;
/// Epochs whose parcels are still recognised.
pub const EPOCH_KEYS_MAX: usize = 8;
/// Commits kept for members that lag.
pub const COMMITS_MAX: usize = 32;
/// Messages of later epochs that wait for their commits.
pub const EARLY_MAX: usize = 64;
/// The chair gathers admissions and removals this long before it commits.
pub const COMMIT_GATHER: Duration = Duration::from_millis(300);
/// A proposal to close lapses after this time.
pub const PROPOSAL_TIME_MAX: Duration = Duration::from_secs(600);
/// After this long without any contact a talk is checked before it opens.
pub const ABSENCE_MAX: Duration = Duration::from_secs(120);
/// And this is how long the check may take before the talk opens as "not checked".
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(3);
/// Markers and receipts outlive the event by 30 days.
pub const MARKER_HOURS: u32 = 30 * 24;
/// Certificates are kept for those who are away as long as a relay keeps anything.
pub const CERTIFICATE_HOURS: u8 = 168;
/// A chair that was not heard for so long may be followed by another.
pub const CHAIR_SILENCE_MAX: Duration = Duration::from_secs(60);
/// The same while some seat is remote.
pub const CHAIR_SILENCE_MAX_BY_RELAY: Duration = Duration::from_secs(600);
/// A jump of the wall clock over this is doubted until confirmed.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(600);
/// A doubted clock is believed after this much elapsed time.
pub const CLOCK_DOUBT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Typing pauses this long before a change is cut.
pub const CHANGE_IDLE: Duration = Duration::from_secs(3);
/// Whoever types without a pause has a change cut after this time at the latest: a crash loses no more of it.
pub const CHANGE_AGE_MAX: Duration = Duration::from_secs(10);
/// Changes in one run through the quarantine: so many hostile ones still end within its two seconds.
pub const QUARANTINE_BATCH_MAX: usize = 16;
/// Remote changes that wait for the quarantine; more are dropped and asked for again.
pub const QUARANTINE_QUEUE_MAX: usize = 4_096;
/// A live preview is shown until its change comes, or for so long.
pub const PREVIEW_TIME: Duration = Duration::from_secs(6);
/// The document is folded when it has grown to so many changes (opening it costs 40 ms then).
pub const FOLD_CHANGES: u64 = 2_000;
/// A seat not heard for so long need not acknowledge a fold: it takes the folded document when it returns.
pub const FOLD_HEARD_WITHIN: Duration = Duration::from_secs(600);

/// A handoff code on the screen is replaced after this time.
pub const CODE_FRESH: Duration = Duration::from_secs(45);
/// And may still be used for so long, by whoever scanned it in the last moment.
pub const CODE_GRACE: Duration = Duration::from_secs(45);
/// Whose code was scanned is looked for among the neighbours that have a link for so long,
pub const CODE_SEARCH: Duration = Duration::from_secs(2);
/// and where there is a radio, by which a link takes seconds, for so long.
pub const CODE_SEARCH_BY_RADIO: Duration = Duration::from_secs(20);
/// Newcomers who may wait at one time.
pub const NEWCOMERS_MAX: usize = 8;

/// Reports that the organizer's device keeps: more than one person reads in three days.
pub const REPORTS_MAX: usize = 1_000;
/// Tags of the owner's own interests.
pub const INTERESTS_MAX: usize = 32;
/// Events that wait to be read before new ones are dropped: whoever does not read them asks for views anyway.
pub const EVENTS_OUT_MAX: usize = 100_000;
/// Faults of peers that are told one by one; more are only counted.
pub const PEER_FAULTS_MAX: u64 = 1_000;

/// How soon a successor asks again, and a seat that was away asks to follow,
pub const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// and how long they wait at most when nobody answers: as long as a chair may be silent.
pub const CONSENT_INTERVAL_MAX: Duration = CHAIR_SILENCE_MAX;
/// A newcomer carries so many parcels of the commit that let it in, for those who were away.
pub const LED_BY_MAX: usize = 16;
/// After so many questions in vain a successor asks for a later term.
pub const CONSENT_TRIES: u32 = 4;
/// A seat consents to a term that is at most so much later than any it has promised: a successor that asks alone for a week gets to some
/// 2,500, and nobody uses up all that there are with one question.
pub const TERMS_AHEAD_MAX: u32 = 1 << 16;
/// A member shows by whose consent the last so many terms were founded: with 26 consents each some 3 KB.
pub const MANDATES_MAX: usize = 16;
