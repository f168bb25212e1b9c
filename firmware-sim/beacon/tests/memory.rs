//! What `snow` takes of the heap beside the beacon's fixed state: alone in its process, so that nothing else is counted.

use peak_alloc::PeakAlloc;
use table_beacon::board::Board;
use table_beacon::config::{GAP_US, LINKS_MAX};
use table_beacon::visitor::Visitor;
use table_beacon::{Beacon, Input, Table};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Of a 64-bit machine; with pointers of half the size it is less.
const HEAP_BYTES_MAX: usize = 2 * 1024;

#[test]
fn three_links_and_a_handshake_take_two_kilobytes_of_heap_and_give_all_of_it_back() {
    let mut board = Board::new(1);
    let mut beacon = Beacon::power_up(&mut board, Table { event: [1; 16], key: [2; 32], secret: [3; 32], number: 4 });
    board.run(&mut beacon, GAP_US.1);
    let first = [7; 244];
    let connections = 0..LINKS_MAX as u16 * 2;
    connections.clone().for_each(|connection| board.sent.insert(connection, Vec::with_capacity(8)).map_or((), drop));
    board.ended.reserve(100);
    connections.clone().for_each(|connection| drop(Visitor::connect(&mut board, &mut beacon, connection)));
    let before = PEAK.current_usage();
    PEAK.reset_peak_usage();
    for connection in connections.clone() {
        beacon.handle(&mut board, Input::Received(connection, &first));
    }
    let (standing, peak) = (PEAK.current_usage() - before, PEAK.peak_usage() - before);
    assert!(standing > 0 && peak <= HEAP_BYTES_MAX);
    connections.for_each(|connection| beacon.handle(&mut board, Input::Disconnected(connection)));
    assert_eq!(PEAK.current_usage(), before);
    eprintln!("{standing} bytes of heap for {LINKS_MAX} links, {peak} at most");
}
