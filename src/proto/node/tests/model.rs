//! The model: a small world, the steps that may be taken in it, and what must hold in every state (`stateright` walks all of them).
//!
//! Reduction, and why it is sound: a step is one phone's contact, one owner's deed, or a span of time. Between two of its contacts a
//! phone hears nobody, so only the order of contacts matters, and that is what is explored. A contact is atomic: it reads all that
//! waits and says all it has to say; cuts inside of one are the crash tests' subject (`firmware-sim/tests/crash.rs`).
//!
//! Two worlds are one state if their phones are alike but for random bytes and the exact time (ages count by the classes that the
//! rules tell apart), and the same news waits for each phone in the same order. That much is an abstraction: a rule that looked at a
//! random byte or at a second within a class would escape it.

use super::hostile::Lie;
use super::phone::Deeds;
use super::world::{Phones, World};
use crate::proto::talk::close::Ending;
use crate::proto::talk::roster::Standing;
use crate::proto::time::Duration;
use stateright::{Model, Property};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A phone is in contact.
    Sync(usize),
    /// Its owner asks for a seat,
    TakeSeat(usize),
    /// or gives it up again,
    StandUp(usize),
    /// says something,
    Say(usize),
    /// proposes or agrees to close,
    Close(usize),
    /// leaves,
    Leave(usize),
    /// wants the seat of another removed.
    Remove(usize, usize),
    /// The phone dies and starts again from its disk;
    Restart(usize),
    /// its keystore has forgotten meanwhile.
    Reboot(usize),
    /// So many seconds pass; these are in contact all the while.
    Pass(u64, Phones),
    /// A hostile seat says something that the honest core never would.
    Lie(usize, Lie),
}

/// A rule that a control switches off on the honest phones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Everybody comes back into contact: phone 1 does not.
    Contact,
    /// What has lapsed counts no more.
    Lapse,
    /// More than half of the others remove a seat.
    Majority,
    /// No room below the minimum.
    Minimum,
    /// Who leaves erases.
    Erase,
    /// A closed talk is gone from the disk.
    Forget,
}

/// Something that is to be seen at least once, so that what always holds does not hold of nothing.
pub type Sight = (&'static str, fn(&Story, &World) -> bool);

/// A model: where it begins and what may happen.
pub struct Story {
    pub start: World,
    pub steps: Vec<Step>,
    /// So many steps at most.
    pub depth: usize,
    /// Hostile phones.
    pub hostile: Phones,
    /// Whether they come back into contact with the others, and then do what the honest core does.
    pub liars_answer: bool,
    pub off: Option<Rule>,
    pub sights: Vec<Sight>,
    /// What became of worlds whose phones all came back into contact, by fingerprint after the first round.
    pub healed: Mutex<BTreeMap<u64, Result<(), String>>>,
}

impl Story {
    pub fn new(start: World, depth: usize, steps: Vec<Step>, sights: Vec<Sight>) -> Story {
        let healed = Mutex::default();
        Story { start: start.seal(), steps, depth, hostile: 0, liars_answer: false, off: None, sights, healed }
    }

    /// With these phones hostile.
    pub fn with_hostile(self, hostile: Phones) -> Story {
        Story { hostile, ..self }
    }

    /// With a rule switched off.
    pub fn without(self, rule: Rule) -> Story {
        Story { off: Some(rule), sights: Vec::new(), ..self }
    }

    pub fn is_honest(&self, phone: usize) -> bool {
        self.hostile >> phone & 1 == 0
    }

    fn may(&self, world: &World, step: Step) -> bool {
        let open = |number: usize| world.look(number, |phone| phone.room().is_some());
        let deeds = |number: usize, f: &dyn Fn(&Deeds) -> bool| world.look(number, |phone| f(&phone.deeds));
        match step {
            Step::Sync(number) => world.can_sync(number),
            Step::TakeSeat(number) => world.look(number, |phone| phone.stage().is_none() && phone.deeds.ended.is_none()),
            Step::StandUp(number) => world.look(number, |phone| phone.stage().is_some() && phone.room().is_none()),
            Step::Say(number) => {
                deeds(number, &|deeds| deeds.said == 0)
                    && world.look(number, |phone| phone.room().is_some_and(|room| room.may_write().is_ok()))
            }
            Step::Close(number) => {
                deeds(number, &|deeds| deeds.closes < 2)
                    && world.look(number, |phone| phone.room().is_some_and(|room| !room.has_agreed(room.number())))
            }
            Step::Leave(number) => open(number) && !deeds(number, &|deeds| deeds.left),
            Step::Remove(number, target) => open(number) && !deeds(number, &|deeds| deeds.removes.contains(&world.seats[target])),
            Step::Restart(number) | Step::Reboot(number) => {
                deeds(number, &|deeds| deeds.restarts == 0)
                    && world.look(number, |phone| phone.stage().is_some() || phone.ending().is_some())
            }
            Step::Pass(..) => true,
            Step::Lie(number, _) => open(number) && deeds(number, &|deeds| deeds.lies < 2),
        }
    }

    /// Takes a step; `None` if there is nothing to it.
    pub fn take(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        world.broken.clear();
        world.depth += 1;
        self.switch_off(&mut world, Some(step));
        let deed = |world: &mut World, number: usize, f: &dyn Fn(&mut Deeds)| world.change(number, |phone| f(&mut phone.deeds));
        match step {
            Step::Sync(number) => world.sync(number),
            Step::TakeSeat(number) => world.take_seat(number),
            Step::StandUp(number) => world.command(number, |node, talk| node.withdraw(talk)),
            Step::Say(number) => {
                deed(&mut world, number, &|deeds| deeds.said += 1);
                world.command(number, |node, talk| node.say(talk, "word"));
            }
            Step::Close(number) => {
                deed(&mut world, number, &|deeds| deeds.closes += 1);
                world.command(number, |node, talk| node.close(talk));
            }
            Step::Leave(number) => {
                deed(&mut world, number, &|deeds| deeds.left = true);
                if self.off == Some(Rule::Erase) {
                    world.command(number, |node, talk| {
                        let left = node.with_room(talk, |room, cx| room.leave(cx)).ok_or(());
                        node.send_posts();
                        left
                    });
                } else {
                    world.command(number, |node, talk| node.leave(talk));
                }
                let stays = world.look(number, |phone| phone.stage().is_some() || phone.talk_records() > 0);
                world.note_if(stays, "who left has not erased in the same step");
            }
            Step::Remove(number, target) => {
                let seat = world.seats[target];
                world.command(number, |node, talk| node.remove(talk, seat));
                deed(&mut world, number, &|deeds| {
                    deeds.removes.insert(seat);
                });
            }
            Step::Restart(number) => world.change(number, |phone| phone.restart(false)),
            Step::Reboot(number) => world.change(number, |phone| phone.restart(true)),
            Step::Pass(seconds, in_contact) => world.pass(Duration::from_secs(seconds), in_contact),
            Step::Lie(number, lie) => {
                deed(&mut world, number, &|deeds| deeds.lies += 1);
                if !world.lie(number, lie) {
                    return None;
                }
            }
        }
        for number in 0..world.count() {
            self.remember(&mut world, number);
        }
        Some(world.seal())
    }

    /// Keeps what a phone forgets when its talk ends.
    fn remember(&self, world: &mut World, number: usize) {
        let (ended, deeds, said) = world.look(number, |phone| {
            let said = phone.room().map(|room| (room.voted(), room.lapsed()));
            (phone.ending(), phone.deeds.clone(), said)
        });
        if let (None, Some(ending)) = (deeds.ended, ended) {
            let is_over = ending == Ending::Closed && !deeds.voted.is_empty() && deeds.voted.is_subset(&deeds.lapsed);
            world.note_if(is_over && self.is_honest(number), "one was closed out by a proposal that it knew to be over");
            world.change(number, |phone| phone.deeds.ended = Some(ending));
        }
        if let Some((voted, mut lapsed)) = said
            && (voted != deeds.voted || !lapsed.is_subset(&deeds.lapsed))
        {
            lapsed.extend(deeds.lapsed);
            world.change(number, |phone| (phone.deeds.voted, phone.deeds.lapsed) = (voted, lapsed));
        }
    }

    fn switch_off(&self, world: &mut World, step: Option<Step>) {
        let Some(rule) = self.off else { return };
        for number in (0..world.count()).filter(|number| self.is_honest(*number)) {
            match rule {
                Rule::Contact => {}
                Rule::Lapse => world.in_open_room(number, |room| room.forget_lapses()),
                Rule::Majority => world.in_open_room(number, |room| room.let_anybody_remove()),
                Rule::Minimum => world.change(number, |phone| phone.lower_minimum(2)),
                Rule::Erase => {}
                Rule::Forget => {
                    if step == Some(Step::Restart(number)) {
                        let early = self.start.look(number, Clone::clone);
                        world.change(number, |phone| phone.restore_disk(&early));
                    }
                }
            }
        }
    }

    // ---- what must hold ------------------------------------------------------------------------------------------------------------

    /// No fork survives contact: once everybody honest is in contact for long enough, all have the same room, or none.
    fn heals(&self, world: &World) -> Result<(), String> {
        let honest: Vec<_> = (0..world.count()).filter(|number| self.is_honest(*number)).collect();
        let present = (0..world.count()).filter(|number| self.liars_answer || self.is_honest(*number));
        let present: Vec<_> = present.filter(|number| self.off != Some(Rule::Contact) || *number != 1).collect();
        let mut world = world.clone();
        world.broken.clear();
        let (mut first, mut agreed) = (0, Ok(()));
        for round in 0..26 {
            let now = world.latest() + Duration::from_secs(30);
            world.now = now;
            for number in &present {
                self.switch_off(&mut world, None);
                world.change(*number, |phone| phone.wake(now));
                world.sync(*number);
            }
            if round == 0 {
                world = world.seal();
                first = world.digest();
                if let Some(known) = self.healed.lock().expect("nobody panicked").get(&first) {
                    return known.clone();
                }
            }
            agreed = self.agree(&world, &honest);
            if agreed.is_ok() {
                break;
            }
        }
        let outcome = agreed.map_err(|why| format!("{why}\n{world:?}"));
        self.healed.lock().expect("nobody panicked").insert(first, outcome.clone());
        outcome
    }

    fn agree(&self, world: &World, honest: &[usize]) -> Result<(), String> {
        let closed = honest.iter().find(|number| world.look(**number, |phone| phone.deeds.ended == Some(Ending::Closed)));
        let liars: Vec<_> =
            world.seats.iter().enumerate().filter(|(number, _)| !self.is_honest(*number)).map(|(_, seat)| *seat).collect();
        let is_open = world.each(|phone| self.is_honest(phone.number) && phone.room().is_some()).contains(&true);
        let mut first: Option<(usize, String)> = None;
        for number in honest {
            let (outline, has_lapsed, is_gone) = world.look(*number, |phone| {
                let room = phone.room();
                let has_lapsed = room.is_some_and(|room| !room.lapsed().is_empty());
                (room.map(|room| room.agreed_outline(&liars)), has_lapsed, phone.stage().is_none())
            });
            let Some(outline) = outline else {
                if is_gone || !is_open { continue } else { return Err(format!("phone {number} has no room yet")) }
            };
            if let Some(closed) = closed.filter(|_| !has_lapsed) {
                return Err(format!("phone {closed} has closed, and phone {number} has not"));
            }
            match &first {
                None => first = Some((*number, outline)),
                Some((_, there)) if *there == outline => {}
                Some((other, there)) => return Err(format!("phones {other} and {number} differ:\n{there}\n{outline}")),
            }
        }
        Ok(())
    }

    /// An honest seat's talk ends by its own vote, its own leave, a removal by more than half of the others, or its hour alone.
    fn ends_rightly(&self, world: &World, number: usize) -> bool {
        let (ended, closes, left) = world.look(number, |phone| (phone.deeds.ended, phone.deeds.closes, phone.deeds.left));
        match ended {
            None => true,
            Some(Ending::Closed) => closes > 0,
            Some(Ending::Left) => left,
            Some(Ending::Expired) => world.is_expired(),
            Some(Ending::Removed) => {
                let seat = world.seats[number];
                let others: Vec<_> = (0..world.count()).filter(|other| *other != number).collect();
                let wants =
                    |other: &&usize| !self.is_honest(**other) || world.look(**other, |phone| phone.deeds.removes.contains(&seat));
                // Those who had left did not count among the others.
                let left = others.iter().filter(|other| world.look(**other, |phone| phone.deeds.left)).count();
                others.iter().filter(wants).count() * 2 > others.len() - left
            }
        }
    }

    /// The first sentence that is wrong of this state.
    pub fn complain(&self, world: &World) -> Option<String> {
        let honest = (0..world.count()).filter(|number| self.is_honest(*number));
        let wrong =
            honest.filter(|number| !self.ends_rightly(world, *number)).map(|number| format!("phone {number} ended wrongly"));
        wrong.chain(world.broken.clone()).next().or_else(|| self.heals(world).err())
    }
}

/// See [`Story::heals`].
pub const NO_FORK: &str = "no fork survives contact";
/// See [`Story::ends_rightly`].
pub const NOBODY_ALONE: &str = "no single seat removes or closes out another";
/// A device holds keys of a room only if so many opened their contribution.
pub const NO_KEY: &str = "no key exists below the quorum";
/// Who leaves, holds the certificate, or whose talk is over, has erased in that same step.
pub const OWN_ERASURE: &str = "nobody's own erasure waits for another";
/// What ended stays so.
pub const NO_REOPENING: &str = "nothing closed is opened again";

impl Model for Story {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        if world.depth < self.depth && world.broken.is_empty() {
            actions.extend(self.steps.iter().filter(|step| self.may(world, **step)));
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        self.take(world, step)
    }

    fn properties(&self) -> Vec<Property<Story>> {
        fn honest(story: &Story, world: &World) -> Vec<usize> {
            (0..world.count()).filter(|number| story.is_honest(*number)).collect()
        }
        let always = [
            Property::always(NO_FORK, |story: &Story, world: &World| story.heals(world).is_ok()),
            Property::always(NOBODY_ALONE, |story: &Story, world: &World| {
                let by_lapse = world.broken.iter().any(|what| what.contains("closed out"));
                !by_lapse && honest(story, world).into_iter().all(|number| story.ends_rightly(world, number))
            }),
            Property::always(NO_KEY, |_: &Story, world: &World| {
                let has_keys = world.each(|phone| phone.group_records() > 0).contains(&true);
                !has_keys || world.gathered() >= usize::from(world.seats_min)
            }),
            Property::always(OWN_ERASURE, |story: &Story, world: &World| {
                let waits = |number: usize| {
                    world.look(number, |phone| phone.room().is_some_and(|room| room.holds_certificate()))
                        || (world.is_expired() && world.look(number, |phone| phone.stage().is_some()))
                };
                !world.broken.iter().any(|what| what.contains("erased")) && !honest(story, world).into_iter().any(waits)
            }),
            Property::always(NO_REOPENING, |story: &Story, world: &World| {
                let reopened = |number: usize| {
                    world.look(number, |phone| phone.deeds.ended.is_some() && (phone.stage().is_some() || phone.talk_records() > 0))
                };
                !honest(story, world).into_iter().any(reopened)
            }),
        ];
        let sights = self.sights.iter().map(|(name, condition)| Property::sometimes(name, *condition));
        always.into_iter().chain(sights).collect()
    }
}

// ---- sights ------------------------------------------------------------------------------------------------------------------------

fn any_room(world: &World, f: impl Fn(&crate::proto::talk::room::Room) -> bool) -> bool {
    world.each(|phone| phone.room().is_some_and(&f)).contains(&true)
}

pub const A_ROOM_OPENS: Sight = ("a room opens for all", |_, world| !world.each(|phone| phone.room().is_some()).contains(&false));
pub const A_REDRAW: Sight = ("somebody stays silent and a new round is drawn", |_, world| {
    world
        .each(|phone| matches!(phone.stage(), Some(crate::proto::talk::Stage::Hosting(hosting)) if hosting.round() > 0))
        .contains(&true)
});
pub const A_CLOSE_BY_ONE: Sight = ("one has closed and another has yet to hear of it", |_, world| {
    let ended = world.each(|phone| phone.deeds.ended == Some(Ending::Closed));
    ended.contains(&true) && ended.contains(&false)
});
pub const A_LAPSE: Sight = ("a proposal lapses in contact", |_, world| any_room(world, |room| !room.lapsed().is_empty()));
pub const A_LAPSE_ALONE: Sight = ("a proposal lapses out of contact", |_, world| {
    any_room(world, |room| room.lapsed().is_empty() && !room.retracted().is_empty())
});
pub const A_SECOND_TERM: Sight = ("a second term is founded", |_, world| any_room(world, |room| room.term() == 2));
pub const A_FOLLOWER: Sight = ("one who was away follows into a later term", |_, world| {
    world.each(|phone| phone.number == 0 && phone.room().is_some_and(|room| room.term() > 1)).contains(&true)
});
pub const A_REMOVAL: Sight =
    ("a seat is removed", |_, world| world.each(|phone| phone.deeds.ended == Some(Ending::Removed)).contains(&true));
pub const A_RETURN: Sight = ("a device that lost its keys is back", |_, world| {
    any_room(world, |room| room.roster().seats().any(|(_, seat)| matches!(seat.standing, Standing::Replaced(_))))
        && world.each(|phone| phone.deeds.restarts > 0 && phone.room().is_some()).contains(&true)
});
pub const AN_EXPIRY: Sight =
    ("a talk's hour comes", |_, world| world.each(|phone| phone.deeds.ended == Some(Ending::Expired)).contains(&true));
