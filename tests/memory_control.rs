//! The control of `memory.rs`: with the system's allocator alone, dropped notes are found in memory by the same search.

mod needle;

#[test]
fn control_without_the_wiping_allocator_dropped_notes_are_found() {
    if let Ok(role) = std::env::var(needle::ROLE) {
        return needle::child(&role);
    }
    let copies = needle::copies_in_child("control_without_the_wiping_allocator_dropped_notes_are_found", "drop");
    println!("{copies} copies of dropped notes in memory");
    assert!(copies > 0);
}
