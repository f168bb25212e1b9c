//! What the mesh says to whom: who has links to many learns no author by it, and two who meet come to an end.

mod author;
mod full;
mod slow;

use alcove::proto::id::LinkId;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::WallTime;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};

const WALL: WallTime = WallTime(3_600_000 * 1_000);
const LINK: LinkId = LinkId(9);

/// Parcels in all but the making, which takes longer than taking them.
fn parcels(rng: &mut Rng, count: usize) -> Vec<Parcel> {
    let travel = Travel { expiry_hours: 1_040, ephemeral: false, hops: 5 };
    let mut bytes = ParcelKeys::new(&Key([1; 32])).seal(rng, travel, b"x").unwrap().as_bytes().to_vec();
    let next = |number: usize| {
        bytes[20..28].copy_from_slice(&(number as u64).to_be_bytes());
        Parcel::decode(bytes.clone()).unwrap()
    };
    (0..count).map(next).collect()
}
