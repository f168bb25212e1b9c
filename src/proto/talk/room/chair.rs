//! Who sits and who goes: requests at the doors, the chair's commits, and how every member checks them.
//!
//! Law: only the chair commits, and only for reasons that every member can check from its own log.

use super::commit::Commit;
use super::message::Message;
use super::opening::{Snapshot, State};
use super::{Effect, Room};
use crate::proto::config::{CONSENT_INTERVAL, SEAT_RETRY_INTERVAL};
use crate::proto::cx::{Cx, Post, Via};
use crate::proto::error::Fault;
use crate::proto::id::SeatId;
use crate::proto::io::{Event, ReadKey};
use crate::proto::secret::Key;
use crate::proto::talk::agenda::Admission;
use crate::proto::talk::door::Door;
use crate::proto::talk::entry::{Head, SeatNumber, Sig};
use crate::proto::talk::group::{self, GroupError, Member, Opened, Staged};
use crate::proto::talk::rejoin::{Rejoin, Returned};
use crate::proto::talk::roster::Standing;
use crate::proto::talk::seats::{Offer, ToGuest, ToHost, Welcome, open_request, tell};
use crate::proto::time::Instant;
use crate::proto::wire::encode;
use crate::proto::wire::parcel::ParcelKeys;

/// Where devices that return ask, and the mailbox in which that is left at the relay.
pub(super) fn own_door(founding: &Key) -> (Door, ReadKey) {
    let derive = |label| founding.derive(label, &[]);
    (Door::from_seed(&derive("alcove/1 room door")), ReadKey(derive("alcove/1 room mailbox")))
}

impl Room {
    /// The doors through which this member is asked for seats, with their mailboxes: the card's, and the room's own for returning
    /// devices. Only the chair answers.
    pub fn doors(&self) -> Vec<(Door, ReadKey)> {
        let host = self.meta.host.iter().map(|host| (host.door.clone(), host.mailbox.clone()));
        host.chain([self.door.clone()]).collect()
    }

    /// Takes a request that came through one of [`Room::doors`].
    ///
    /// # Errors
    /// A [`Fault`] if it does not hold.
    pub fn take_request(&mut self, cx: &mut Cx<'_>, door: &Door, sealed: &[u8]) -> Result<(), Fault> {
        let known =
            |seat| self.meta.roster.number(seat).and_then(|n| self.meta.roster.seat(n)).map(|s| group::Member { seat, key: s.key });
        let (member, request) = open_request(door, sealed, known)?;
        match request {
            // A founding message that was lost: whoever still asks has not heard it.
            ToHost::Offer(_) | ToHost::Reveal { .. } if self.tell_founding_again(cx, member.seat) => {}
            // And so with an admission: this device may have died between writing it down and saying it.
            ToHost::Offer(_) | ToHost::Rejoin(_) if self.unheard.contains_key(&member.seat) => self.admit_again(cx, member.seat),
            ToHost::Offer(offer) if self.is_chair() => self.queue_admission(cx, member.seat, Admission::New(offer)),
            ToHost::Rejoin(rejoin) if self.is_chair() => {
                let sits = self.meta.roster.seat(rejoin.old).is_some_and(|seat| seat.standing == Standing::Sits);
                sits.then_some(()).ok_or(Fault::OutOfPlace("re-join"))?;
                self.check_rejoin(rejoin.old, member.seat, &rejoin.signature)?;
                self.queue_admission(cx, member.seat, Admission::Return(rejoin));
            }
            // Whoever asks asks again: if the chair is gone, its successor answers then.
            ToHost::Offer(_) | ToHost::Rejoin(_) => self.need_chair(cx.now),
            ToHost::Reveal { .. } | ToHost::StandUp => {}
        }
        Ok(())
    }

    fn tell_founding_again(&self, cx: &mut Cx<'_>, seat: SeatId) -> bool {
        let word = self.meta.to_tell.iter().find(|word| word.seat == seat);
        word.map(|word| word.tell(cx, self.talk)).is_some()
    }

    fn admit_again(&mut self, cx: &mut Cx<'_>, seat: SeatId) {
        let Some((welcome, told)) = self.unheard.get_mut(&seat) else { return };
        // A welcome may carry a document: who asks all the time is not answered all the time.
        if told.is_none_or(|at| cx.now.since(at) >= SEAT_RETRY_INTERVAL / 2) {
            *told = Some(cx.now);
            welcome.tell(cx, self.talk);
        }
    }

    /// Answers one who was admitted, and remembers the answer until its first entry is heard.
    fn welcome(&mut self, cx: &mut Cx<'_>, offer: &Offer, answer: &ToGuest) {
        let Ok(member) = group::check_key_package(&offer.key_package) else { return };
        let welcome = Welcome::new(member.seat, offer, encode(answer));
        self.persist_welcome(cx, &welcome);
        welcome.tell(cx, self.talk);
        self.unheard.insert(member.seat, (welcome, Some(cx.now)));
    }

    fn answer(&self, cx: &mut Cx<'_>, admission: &Admission, answer: &ToGuest) {
        if let Some(offer) = admission.offer() {
            tell(cx, self.talk, offer, answer);
        }
    }

    pub(super) fn queue_admission(&mut self, cx: &mut Cx<'_>, seat: SeatId, admission: Admission) {
        if self.meta.roster.number(seat).is_some() || !self.agenda.has_room_for(&admission) {
            return;
        }
        let full = self.meta.roster.sitting().count() + self.agenda.len() >= usize::from(self.meta.terms.seats_max);
        let closing = self.meta.closing.proposal.is_some();
        if matches!(admission, Admission::New(_)) && (full || closing) {
            return self.answer(cx, &admission, &ToGuest::Declined);
        }
        self.agenda.add(admission);
        self.agenda.call(cx.now);
    }

    pub(super) fn check_rejoin(&self, old: SeatNumber, newer: SeatId, signature: &Sig) -> Result<(), Fault> {
        let seat = self.meta.roster.seat(old).ok_or(Fault::OutOfPlace("re-join"))?;
        let key = seat.rejoin_key.ok_or(Fault::OutOfPlace("re-join"))?;
        match key.lets_back(&self.room, seat.id, newer, signature) {
            true => Ok(()),
            false => Err(Fault::Forged("re-join")),
        }
    }

    /// Follows the chair into the next epoch, if it has signed the commit and its reasons hold.
    pub(super) fn take_commit(&mut self, cx: &mut Cx<'_>, commit: Commit) -> Result<Vec<Effect>, Fault> {
        let here = (self.meta.term, self.group.epoch());
        if commit.place.0 != self.meta.term || commit.place > here {
            return Ok(Vec::new());
        }
        let chair = self.meta.roster.seat(self.meta.chair).filter(|chair| commit.holds(&self.room, chair));
        let chair = chair.map(|chair| chair.id).ok_or(Fault::Forged("commit"))?;
        if commit.place < here {
            self.notice_split(cx, commit.place, &Message::Commit(commit));
            return Ok(Vec::new());
        }
        if self
            .meta
            .heard_commit
            .replace((commit.place, commit.hash()))
            .is_some_and(|known| known.0 == commit.place && known.1 != commit.hash())
        {
            self.split(cx, commit.place);
        }
        if self.meta.split.is_some() {
            return Ok(Vec::new());
        }
        let staged = match self.group.open(&commit.bytes) {
            Ok(Opened::Commit(staged)) => staged,
            Ok(Opened::Message { .. }) => return Err(Fault::OutOfPlace("message")),
            Err(GroupError::TooOld | GroupError::Replayed | GroupError::Later { .. } | GroupError::Removed) => {
                return Ok(Vec::new());
            }
            Err(_) => return Err(Fault::Forged("commit")),
        };
        if chair != staged.committer {
            return Err(Fault::OutOfPlace("commit of a seat that is not the chair"));
        }
        self.learn_reasons(&commit.reasons);
        for device in &commit.returned {
            self.check_rejoin(device.old, device.newer, &device.signature)?;
        }
        if !self.is_justified(&staged, &commit.returned) {
            return Err(Fault::OutOfPlace("commit without a reason"));
        }
        let (added, removed) = (staged.added.clone(), staged.removed.clone());
        let removes_me = removed.contains(&self.keys.id());
        self.group.merge(*staged).map_err(|_| Fault::Forged("commit"))?;
        if removes_me {
            return Ok(vec![Effect::Removed]);
        }
        self.seat_changes(&added, &removed, &commit.returned);
        self.meta.epochs.keep_step(commit.place, &Message::Commit(commit));
        self.push_epoch();
        // The chair is at work: what it has not done yet comes again.
        self.meta.succession.is_needed = false;
        self.persist_group(cx);
        self.persist(cx);
        self.trickle.reset(cx.rng, cx.now);
        cx.tell(Event::TalkChanged(self.talk));
        let mut effects = Vec::new();
        for early in self.meta.epochs.take_early() {
            effects.extend(self.take_sealed(cx, early, Via::Link).unwrap_or_default());
        }
        effects.extend(self.revote(cx));
        Ok(effects)
    }

    /// A step from a place that we have left: if the chair signed another one there for us, some of us went another way, and nobody's
    /// keys fit both. The seats of that place found a new term from there.
    pub(super) fn notice_split(&mut self, cx: &mut Cx<'_>, place: (u32, u64), step: &Message) {
        if self.meta.epochs.step_after(place).is_some_and(|ours| *ours != encode(step)) {
            self.split(cx, place);
        }
    }

    fn split(&mut self, cx: &mut Cx<'_>, place: (u32, u64)) {
        if self.is_chair() || self.meta.split.is_some_and(|known| known <= place) {
            return;
        }
        self.meta.split = Some(place);
        self.need_chair(cx.now);
        self.persist(cx);
    }

    /// A removal needs the seat's goodbye, a majority, or its device back in the same commit; an addition needs a free seat.
    fn is_justified(&self, staged: &Staged, returned: &[Returned]) -> bool {
        let is_back = |number: SeatNumber| {
            returned.iter().any(|device| device.old == number && staged.added.iter().any(|member| member.seat == device.newer))
        };
        let may_go = |seat: &SeatId| {
            self.meta.roster.number(*seat).is_some_and(|number| {
                let standing = self.meta.roster.seat(number).map(|seat| seat.standing);
                standing == Some(Standing::Left) || self.meta.roster.is_removal_agreed(number) || is_back(number)
            })
        };
        // A seat that follows late comes in again by its own key; whom a commit sent away does not.
        let may_come = |member: &Member| {
            let known = self.meta.roster.number(member.seat).and_then(|number| self.meta.roster.seat(number));
            known.is_none_or(|seat| seat.key == member.key && matches!(seat.standing, Standing::Sits | Standing::Left))
        };
        let seats = self.group.roster().len() + staged.added.len() - staged.removed.len();
        let has_room = seats <= usize::from(self.meta.terms.seats_max);
        staged.removed.iter().all(may_go) && staged.added.iter().all(may_come) && has_room
    }

    /// A commit as whoever we let in with it can carry it: we may be gone before those have heard it who are away.
    fn sealed_for_laggards(&self, cx: &mut Cx<'_>, keys: &ParcelKeys, commit: &Message) -> Vec<Vec<u8>> {
        let parcels = Post::new(keys, commit).seal(cx.rng, cx.wall).unwrap_or_default();
        parcels.iter().map(|parcel| parcel.as_bytes().to_vec()).collect()
    }

    /// Brings roster and log up to date with a merged commit.
    fn seat_changes(&mut self, added: &[Member], removed: &[SeatId], returned: &[Returned]) {
        for member in added {
            // A seat that follows late into a new term keeps its number.
            let known = self.meta.roster.number(member.seat).is_some();
            let Some(number) = (!known).then(|| self.meta.roster.admit(member.seat, member.key)).flatten() else { continue };
            self.log.open_line(member.seat, member.key, Head::default());
            self.meta.bases.push(Head::default());
            for device in returned.iter().filter(|device| device.newer == member.seat) {
                if let Some(old) = self.meta.roster.seat_mut(device.old) {
                    old.standing = Standing::Replaced(number);
                }
                self.meta.returned.push(device.clone());
            }
        }
        for seat in removed {
            if let Some(seat) = self.meta.roster.number(*seat).and_then(|number| self.meta.roster.seat_mut(number))
                && seat.standing == Standing::Sits
            {
                seat.standing = Standing::Removed;
            }
        }
        self.note_minimum();
    }

    /// Whether this seat may commit.
    pub fn is_chair(&self) -> bool {
        self.meta.chair == self.meta.me
    }

    /// Whether a commit is due: the node then calls [`Room::commit`] with the notes.
    pub fn wants_commit(&self, now: Instant) -> bool {
        self.is_chair() && self.agenda.due().is_some_and(|at| at <= now)
    }

    pub(super) fn next_removal(&self) -> Option<SeatNumber> {
        let seated: Vec<_> = self.group.roster().iter().map(|member| member.seat).collect();
        let may_go = |number: SeatNumber, standing: Standing| match standing {
            Standing::Left => true,
            Standing::Sits => self.meta.roster.is_removal_agreed(number),
            Standing::Removed | Standing::Replaced(_) => false,
        };
        let mut seats = self
            .meta
            .roster
            .seats()
            .filter(|(number, seat)| *number != self.meta.me && seated.contains(&seat.id) && may_go(*number, seat.standing));
        seats.next().map(|(number, _)| number)
    }

    /// Commits what has gathered: one removal or one returning device, or all admissions; and tells those who were admitted.
    pub fn commit(&mut self, cx: &mut Cx<'_>, notes: &Snapshot<'_>) {
        self.agenda.adjourn();
        // Our successor founds its term from here by our consent: nothing comes behind it, unless that device has lost its keys.
        if self.awaited_successor(cx.now).is_some_and(|successor| self.agenda.returning() != Some(successor)) {
            return self.agenda.postpone(cx.now + CONSENT_INTERVAL);
        }
        if self.meta.closing.proposal.is_some() || self.meta.roster.is_removal_agreed(self.meta.me) {
            // Our consent to a close holds for those who sit: whoever has all of it closes, and never hears of one who came in behind it.
            // And whoever is to go brings in nobody who would be counted against that.
            for admission in self.agenda.take_new() {
                self.answer(cx, &admission, &ToGuest::Declined);
            }
        }
        if self.agenda.has_late() {
            self.welcome_again(cx, &encode(&self.state(notes)));
        }
        let (admissions, remove) = match self.agenda.take_return() {
            Some(rejoin) => {
                let remove = self.meta.roster.seat(rejoin.old).map(|seat| seat.id);
                (vec![Admission::Return(rejoin)], remove)
            }
            None => match self.next_removal().and_then(|number| self.meta.roster.seat(number)) {
                Some(seat) => (Vec::new(), Some(seat.id)),
                None => (self.agenda.take(), None),
            },
        };
        if admissions.is_empty() && remove.is_none() {
            return;
        }
        let add: Vec<_> = admissions.iter().map(|admission| admission.key_package().to_vec()).collect();
        let epoch = self.group.epoch();
        let Ok(committed) = self.group.admit_and_remove(cx.rng, &add, remove) else {
            // Whoever could not be let in asks again; the others do not wait for that.
            if !self.agenda.is_empty() {
                self.agenda.call(cx.now);
            }
            return;
        };
        let returned: Vec<_> = admissions.iter().filter_map(Admission::returned).collect();
        let (place, reasons) = ((self.meta.term, epoch), self.reasons_for(remove.and_then(|seat| self.meta.roster.number(seat))));
        let message = Message::Commit(self.sign_commit(place, committed.commit, returned.clone(), reasons));
        let old_keys = self.current_keys();
        self.meta.epochs.keep_step(place, &message);
        let added: Vec<_> = add.iter().filter_map(|package| group::check_key_package(package).ok()).collect();
        self.seat_changes(&added, remove.as_slice(), &returned);
        self.push_epoch();
        self.persist_group(cx);
        self.persist(cx);
        cx.post(Post::new(&old_keys, &message).with_mailbox(self.mailbox(cx), self.talk));
        if let Some(welcome) = committed.welcome {
            let led_by = self.sealed_for_laggards(cx, &old_keys, &message);
            let state = encode(&State { led_by, ..self.state(notes) });
            for admission in &admissions {
                match admission {
                    Admission::Late { seat, after, key_package } => {
                        self.meta.welcomes.insert(*seat, (key_package.clone(), welcome.clone()));
                        self.welcome_late(cx, *seat, *after, &welcome, &state);
                    }
                    Admission::New(offer) | Admission::Return(Rejoin { offer, .. }) => {
                        self.welcome(cx, offer, &ToGuest::Joined { welcome: welcome.clone(), state: state.clone() });
                    }
                }
            }
        }
        self.persist(cx);
        if self.next_removal().is_some() || !self.agenda.is_empty() {
            self.agenda.call(cx.now);
        }
        self.revote(cx);
        self.trickle.reset(cx.rng, cx.now);
        cx.tell(Event::TalkChanged(self.talk));
    }
}
