//! What a board gives the firmware: the border between it and the world.

use crate::config::{ADVERT_BYTES, CELL_BYTES};

/// A board with a radio, a little flash and true randomness. Nothing here fails towards the firmware: what the radio cannot do shows as
/// inputs that do not come.
pub trait Hardware {
    /// Microseconds since power-up, asleep included. Never goes back.
    fn now_us(&mut self) -> u64;

    /// Fills `bytes` from the board's generator of true randomness.
    fn random(&mut self, bytes: &mut [u8]);

    /// One of the two words of one of two flash pages (0 and 1).
    fn read_flash(&mut self, page: usize, word: usize) -> u32;

    /// Writes a word. Flash: bits go from one to zero. Returns when it is done.
    fn write_flash(&mut self, page: usize, word: usize, value: u32);

    /// All bits of a page to one. Returns when it is done.
    fn erase_flash(&mut self, page: usize);

    /// From now on shows `service_data` under Alcove's service, connectable and general discoverable, without a name, from this
    /// non-resolvable private address (least significant byte first), about every `interval_us`, with the advDelay of Bluetooth.
    fn advertise(&mut self, address: [u8; 6], service_data: [u8; ADVERT_BYTES], interval_us: u32);

    /// Shows nothing any more.
    fn silence(&mut self);

    /// Listens once for `window_us` from now, without asking anybody for more; service data of Alcove's comes back as
    /// [`crate::Input::Heard`].
    fn listen(&mut self, window_us: u32);

    /// How many cells [`Hardware::send`] takes now on this connection. When there are more: [`crate::Input::Ready`].
    fn room(&mut self, connection: u16) -> usize;

    /// Notifies a cell, whole or in two halves, as the connection's MTU allows.
    fn send(&mut self, connection: u16, cell: &[u8; CELL_BYTES]);

    /// Ends a connection; [`crate::Input::Disconnected`] need not follow.
    fn disconnect(&mut self, connection: u16);
}

/// A random number from `low` to `high`, without `high`. The bias is below 2⁻³² for spans of hours.
pub(crate) fn between(hardware: &mut impl Hardware, (low, high): (u64, u64)) -> u64 {
    let mut bytes = [0; 8];
    hardware.random(&mut bytes);
    low + u64::from_le_bytes(bytes) % (high - low).max(1)
}
