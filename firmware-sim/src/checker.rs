//! What must hold of a room whatever befell it: all members see the same, and once it is closed nothing of it is left.

use crate::network::Network;
use crate::scenario::view;
use alcove::proto::id::TalkId;
use alcove::proto::node::view::RoomView;
use alcove::proto::notes;

/// The members of a room: phone, and the talk's name there.
pub type Members<'a> = &'a [(usize, TalkId)];

/// Words by seat.
type Said = [(u8, String)];

/// What must be equal on all members.
#[derive(Debug)]
struct Common {
    seats: Vec<(u8, [u8; 16], String, String)>,
    said: Vec<(u8, String)>,
    notes: notes::View,
    heads: [u8; 8],
    epoch: (u32, u64),
    fingerprint: String,
}

/// Whether all members see the same: seats, personas, words, notes, the heads of the log, the group's epoch and its secret.
///
/// # Errors
/// A sentence about the first difference.
pub fn converged(network: &Network, members: Members<'_>) -> Result<(), String> {
    compare(network, members, |one, other| one == other)
}

/// The same where some came later: what was said before they did is not theirs to read, all that follows is.
///
/// # Errors
/// A sentence about the first difference.
pub fn agreed(network: &Network, members: Members<'_>) -> Result<(), String> {
    compare(network, members, |one, other| {
        let of = |said: &Said, seat| said.iter().filter(|(by, _)| *by == seat).map(|(_, text)| text.clone()).collect::<Vec<_>>();
        (0..u8::MAX).all(|seat| {
            let (one, other) = (of(one, seat), of(other, seat));
            one.ends_with(&other) || other.ends_with(&one)
        })
    })
}

fn compare(network: &Network, members: Members<'_>, same_words: fn(&Said, &Said) -> bool) -> Result<(), String> {
    let mut first: Option<(usize, Common)> = None;
    for (phone, talk) in members {
        let room = view(network, *phone, *talk).and_then(|view| view.room).ok_or(format!("phone {phone} has no open room"))?;
        let notes = network.node(*phone).notes(*talk).ok_or(format!("phone {phone} has no notes"))?;
        if notes.waiting > 0 {
            return Err(format!("phone {phone} has {} changes waiting", notes.waiting));
        }
        let here = common(room, notes.notes);
        match &first {
            None => first = Some((*phone, here)),
            Some((other, there)) if *there != here || !same_words(&there.said, &here.said) => {
                return Err(differs((*other, there), (*phone, &here)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// But for the words, which are compared apart.
impl PartialEq for Common {
    fn eq(&self, other: &Common) -> bool {
        (&self.seats, &self.notes, self.heads, self.epoch, &self.fingerprint)
            == (&other.seats, &other.notes, other.heads, other.epoch, &other.fingerprint)
    }
}

fn common(room: RoomView, notes: notes::View) -> Common {
    Common {
        seats: room.seats.into_iter().map(|s| (s.number, s.id.0, s.persona, format!("{:?}", s.standing))).collect(),
        said: room.messages.into_iter().map(|message| (message.seat, message.text)).collect(),
        notes,
        heads: room.heads,
        epoch: (room.term, room.epoch),
        fingerprint: room.fingerprint,
    }
}

fn differs((a, one): (usize, &Common), (b, other): (usize, &Common)) -> String {
    let mut what = Vec::new();
    let mut compare = |name: &str, equal: bool, one: String, other: String| {
        if !equal {
            what.push(format!("{name}: {one} | {other}"));
        }
    };
    compare("epoch", one.epoch == other.epoch, format!("{:?}", one.epoch), format!("{:?}", other.epoch));
    compare("fingerprint", one.fingerprint == other.fingerprint, one.fingerprint.clone(), other.fingerprint.clone());
    compare("seats", one.seats == other.seats, format!("{:?}", one.seats), format!("{:?}", other.seats));
    compare("said", one.said == other.said, format!("{:?}", one.said), format!("{:?}", other.said));
    compare("notes", one.notes == other.notes, format!("{:?}", one.notes), format!("{:?}", other.notes));
    compare("heads", one.heads == other.heads, format!("{:?}", one.heads), format!("{:?}", other.heads));
    format!("phones {a} and {b} differ in {}", what.join("; "))
}

/// Whether nothing of a closed talk is left: not the talk, no record of it, none of the planted texts on any disk, and every receipt
/// says that all have erased.
///
/// # Errors
/// A sentence about the first thing that is left.
pub fn gone(network: &Network, members: Members<'_>, planted: &[&str]) -> Result<(), String> {
    for (phone, talk) in members {
        if let Some(view) = view(network, *phone, *talk) {
            let room = view.room.map(|room| (room.agreed, room.is_voted));
            return Err(format!("phone {phone} still has the talk, {:?}, agreed {room:?}", view.state));
        }
        let disk = &network.phones[*phone].disk;
        if disk.holds_talks() {
            return Err(format!("the disk of phone {phone} holds records of a talk"));
        }
        if let Some(text) = planted.iter().find(|text| disk.contains(text.as_bytes())) {
            return Err(format!("the disk of phone {phone} holds the text {text}"));
        }
        let receipt = network.node(*phone).receipts().into_iter().find(|receipt| receipt.talk == *talk);
        let confirmed = receipt.ok_or(format!("phone {phone} has no receipt"))?.confirmed;
        if confirmed != (members.len(), members.len()) {
            return Err(format!("the receipt of phone {phone} says {confirmed:?}"));
        }
    }
    Ok(())
}
