//! A neighbour that gives a phone something that nobody else has does not know it again under its next id.

use alcove::proto::config::{RECONCILE_INTERVAL, SYMBOLS_PER_CELL};
use alcove::proto::id::{LinkId, ParcelId};
use alcove::proto::io::{Input, Origin, Output, RadioCommand, RadioEvent};
use alcove::proto::link::{Heard, Link};
use alcove::proto::node::Node;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use firmware_sim::network::{Network, START};

/// How often the neighbour marks whoever it has a link to.
const MARK: Duration = Duration::from_secs(5);

struct Phone {
    node: Node,
    now: Instant,
    /// Orders for the radio since the last look.
    orders: Vec<RadioCommand>,
    said: Vec<(LinkId, Vec<u8>)>,
}

impl Phone {
    fn tell(&mut self, input: Input) {
        self.node.handle_input(self.now, input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Radio(command) => self.orders.push(command),
                Output::Transmit { link, bytes } => self.said.push((link, bytes)),
                _ => {}
            }
        }
    }

    /// Lets time pass until the radio is ordered something, at most so long.
    fn run(&mut self, longest: Duration) {
        let end = self.now + longest;
        self.orders.clear();
        while self.orders.is_empty() && self.now < end {
            self.now = self.node.poll_timeout().unwrap_or(end).clamp(self.now, end);
            self.tell(Input::Timeout);
        }
    }
}

/// One end of a link in the neighbour's hands, and the parcels that came over it.
struct Neighbour {
    link: Link,
    at: LinkId,
    brought: Vec<ParcelId>,
}

impl Neighbour {
    fn connect(phone: &mut Phone, rng: &mut Rng, event: &[u8], at: LinkId) -> Neighbour {
        let (link, first) = Link::initiate(rng, phone.now, event, None);
        let mut neighbour = Neighbour { link, at, brought: Vec::new() };
        phone.tell(Input::LinkUp { link: at, origin: Origin::Near(None) });
        phone.tell(Input::Received { link: at, bytes: first });
        neighbour.hear(phone, rng);
        neighbour
    }

    fn say(&mut self, phone: &mut Phone, rng: &mut Rng, frame: &Frame) {
        let bytes = self.link.send(frame).expect("the link is up");
        phone.tell(Input::Received { link: self.at, bytes });
        self.hear(phone, rng);
    }

    fn hear(&mut self, phone: &mut Phone, rng: &mut Rng) {
        for (_, bytes) in std::mem::take(&mut phone.said).into_iter().filter(|(link, _)| *link == self.at) {
            for heard in self.link.receive(rng, &bytes, &[]).unwrap() {
                if let Heard::Frame(Frame::Parcel(parcel)) = heard {
                    self.brought.push(parcel.id());
                }
            }
        }
    }
}

/// Passed on to nobody.
fn mark(rng: &mut Rng) -> Parcel {
    let travel = Travel { expiry_hours: START.hours() + 20, ephemeral: false, hops: 0 };
    ParcelKeys::new(&Key([1; 32])).seal(rng, travel, b"").unwrap()
}

#[test]
fn who_marks_a_phone_does_not_know_it_under_its_next_id() {
    let (network, rng) = (Network::new(3, 1), &mut Rng::new([6; 32]));
    let event = network.pack().event().0;
    let mut phone = Phone { node: Node::new([5; 32]), now: Instant(0), orders: Vec::new(), said: Vec::new() };
    phone.tell(Input::Wall(START));
    phone.node.join_event(network.pack()).unwrap();
    phone.tell(Input::Radio(RadioEvent::On));
    phone.run(Duration::from_secs(2));
    let is_silent = |phone: &Phone| phone.orders.iter().any(|order| matches!(order, RadioCommand::Silence));
    let (mut rotations, mut known, mut next) = (0, 0, 0);
    while rotations < 20 {
        while !phone.orders.iter().any(|order| matches!(order, RadioCommand::Advertise { .. })) {
            phone.run(Duration::from_secs(30));
        }
        next += 2;
        let mut hostile = Neighbour::connect(&mut phone, rng, &event, LinkId(next));
        // An honest neighbour would have the mark with its next round.
        let mut marks: Vec<(Instant, Parcel)> = Vec::new();
        while !is_silent(&phone) {
            marks.push((phone.now, mark(rng)));
            let frame = Frame::Parcel(marks.last().unwrap().1.clone());
            hostile.say(&mut phone, rng, &frame);
            phone.run(MARK);
        }
        let silent = phone.now;
        phone.tell(Input::LinkDown { link: hostile.at });
        while !phone.orders.iter().any(|order| matches!(order, RadioCommand::Advertise { .. })) {
            phone.run(Duration::from_secs(30));
        }
        next += 2;
        let mut later = Neighbour::connect(&mut phone, rng, &event, LinkId(next));
        // An answer holds so much at most.
        for round in 0..20 {
            let nothing = Control::Carrying { round: [round; 4], slice: 0, first: 0, symbols: vec![[0; 4]; SYMBOLS_PER_CELL] };
            later.say(&mut phone, rng, &Frame::Control(nothing));
            let until = phone.now + Duration::from_secs(1);
            while phone.now < until {
                phone.run(until.since(phone.now));
            }
        }
        phone.tell(Input::LinkDown { link: later.at });
        // Marks that nobody else can have: no neighbour has begun a round since.
        let fresh = marks.iter().filter(|(at, _)| silent.since(*at) < RECONCILE_INTERVAL / 3);
        rotations += 1;
        known += usize::from(fresh.into_iter().any(|(_, mark)| later.brought.contains(&mark.id())));
        // Out of the way for the next.
        while !is_silent(&phone) {
            phone.run(Duration::from_secs(30));
        }
        phone.orders.clear();
    }
    assert!(known < rotations / 2, "known again after {known} of {rotations} rotations");
}
