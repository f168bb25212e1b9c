//! Who you are inside one talk: an adjective and a bird that follow from the seat, and from nothing else.
//!
//! Laws: inside a room no two seats are called alike; every member computes the same names; a fresh seat id per talk leaves nothing
//! in common between two talks of one device.

use crate::proto::id::SeatId;
use crate::proto::secret::hash16;
use std::collections::BTreeSet;

const ADJECTIVES: [&str; 64] = [
    "Amber", "Ashen", "Azure", "Bold", "Brass", "Brave", "Bright", "Bronze", "Calm", "Candid", "Cedar", "Clear", "Cobalt",
    "Copper", "Coral", "Crimson", "Deft", "Dusky", "Early", "Ebony", "Fair", "Fleet", "Frank", "Gentle", "Gilded", "Glad",
    "Golden", "Green", "Hazel", "Indigo", "Ivory", "Jade", "Jolly", "Keen", "Kind", "Late", "Lilac", "Lively", "Lunar", "Maple",
    "Mellow", "Merry", "Misty", "Noble", "Ochre", "Olive", "Opal", "Pearl", "Plain", "Proud", "Quick", "Quiet", "Russet", "Sable",
    "Silver", "Slate", "Solar", "Steady", "Still", "Sunny", "Teal", "Tidal", "Violet", "Warm",
];

const BIRDS: [&str; 64] = [
    "Avocet",
    "Bittern",
    "Bunting",
    "Buzzard",
    "Chough",
    "Coot",
    "Cormorant",
    "Crane",
    "Crow",
    "Cuckoo",
    "Curlew",
    "Dipper",
    "Dove",
    "Dunlin",
    "Eagle",
    "Egret",
    "Eider",
    "Falcon",
    "Finch",
    "Gannet",
    "Godwit",
    "Goose",
    "Grebe",
    "Grouse",
    "Gull",
    "Harrier",
    "Hawk",
    "Heron",
    "Hobby",
    "Hoopoe",
    "Ibis",
    "Jackdaw",
    "Jay",
    "Kestrel",
    "Kite",
    "Knot",
    "Lapwing",
    "Lark",
    "Linnet",
    "Magpie",
    "Martin",
    "Merlin",
    "Oriole",
    "Osprey",
    "Ouzel",
    "Owl",
    "Petrel",
    "Pipit",
    "Plover",
    "Puffin",
    "Quail",
    "Rail",
    "Raven",
    "Robin",
    "Rook",
    "Shrike",
    "Siskin",
    "Snipe",
    "Stork",
    "Swift",
    "Teal",
    "Tern",
    "Thrush",
    "Wren",
];

const COUNT: usize = ADJECTIVES.len() * BIRDS.len();

/// The name a seat would have if it sat alone.
pub fn alone(seat: SeatId) -> String {
    name(preferred(seat))
}

/// The names of seats in the order of their admission: each its own, or the next one that is free.
pub fn names<'a>(seats: impl IntoIterator<Item = &'a SeatId>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let free = |seat: &SeatId| {
        let start = preferred(*seat);
        let place = (0..COUNT).map(|step| (start + step) % COUNT).find(|place| taken.insert(*place));
        name(place.unwrap_or(start))
    };
    seats.into_iter().map(free).collect()
}

fn preferred(seat: SeatId) -> usize {
    let digest = hash16("alcove/1 persona", &[&seat.0]);
    usize::from(u16::from_be_bytes([digest[0], digest[1]])) % COUNT
}

fn name(place: usize) -> String {
    format!("{} {}", ADJECTIVES[place / BIRDS.len()], BIRDS[place % BIRDS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seats_of_a_room_are_called_alike_even_when_they_collide() {
        let mut seats: Vec<_> = (0..50).map(|n| SeatId([n; 16])).collect();
        seats.push(seats[0]);
        let names = names(&seats);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), seats.len());
        assert_eq!(names[0], alone(seats[0]));
    }

    #[test]
    fn the_word_lists_hold_no_word_twice() {
        assert_eq!(ADJECTIVES.iter().collect::<BTreeSet<_>>().len(), 64);
        assert_eq!(BIRDS.iter().collect::<BTreeSet<_>>().len(), 64);
    }
}
