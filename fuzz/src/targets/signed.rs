//! Cards and event packs: raw, and with whatever their signer may have put in, truly signed.

use super::Choices;
use alcove::model::event::{OrganizerKeys, SignedPack};
use alcove::proto::board::{Board, Card};
use alcove::proto::id::Source;
use alcove::proto::io::Input;
use alcove::proto::node::Node;
use alcove::proto::rng::Rng;
use alcove::proto::secret::{Key, hash};
use alcove::proto::time::{Instant, WallTime};
use alcove::proto::wire::decode;
use ed25519_dalek::{Signer, SigningKey};

/// In the middle of the seeds' event.
const WALL: WallTime = WallTime(1_794_301_200_000);

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(4) {
        0 => pack(choices.rest()),
        1 => pack(&signed_pack(choices.rest())),
        2 => drop(Card::decode_signed(choices.rest(), WALL)),
        _ => cards(choices),
    }
}

fn signed_pack(payload: &[u8]) -> Vec<u8> {
    let key = OrganizerKeys::new(&mut Rng::new([13; 32])).signing_key();
    let organizer = key.verifying_key().to_bytes();
    let signature = key.sign(&hash("alcove/1 event pack", &[b"ALCP", &[1], &organizer, payload])).to_bytes();
    let check = hash("alcove/1 event pack check", &[&organizer, &signature, payload]);
    [&b"ALCP\x01"[..], &check[..4], &organizer, &signature, payload].concat()
}

fn pack(bytes: &[u8]) {
    let Ok(signed) = SignedPack::decode(bytes) else { return };
    assert_eq!(signed.bytes(), bytes, "passed on byte for byte");
    signed.pack().check().expect("what was read is within its bounds");
    let _ = (signed.to_link(), signed.is_over(WALL), SignedPack::decode_at(bytes, WALL), format!("{signed:?}"));
    let mut node = Node::new([1; 32]);
    node.handle_input(Instant(0), Input::Wall(WALL));
    if node.join_event(&signed).is_ok() {
        assert_eq!(node.pack(), Some(bytes));
    }
    node.handle_input(Instant(1_000_000), Input::Timeout);
}

/// Cards by several signers, from several links: the board takes what holds, and the newest of each.
fn cards(mut choices: Choices<'_>) {
    let mut board = Board::default();
    while !choices.is_over() {
        let (signer, place, crowd) = (choices.byte() % 4, u32::from(choices.byte() % 4), choices.byte() % 16);
        let Ok(mut card) = decode::<Card>(choices.sized(), "card") else { continue };
        let key = Key([signer; 32]);
        card.key = SigningKey::from_bytes(&key.0).verifying_key().to_bytes();
        let bytes = card.sign(&key);
        if let Ok(Some(id)) = board.receive(WALL, Source::Neighbour(place), crowd, &bytes) {
            assert_eq!(id, card.id());
            assert_eq!(board.card(id), card.content.as_ref());
            assert_eq!(board.receive(WALL, Source::Relay, crowd, &bytes), Ok(None), "the same version says nothing new");
        }
        let _ = board.matching(&["rust".into()]);
    }
    board.expire(WallTime(u64::MAX));
    assert!(board.matching(&[]).is_empty());
}
