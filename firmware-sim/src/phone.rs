//! One phone: a node or a hostile program, its disk, and what its surroundings know of it.

use crate::disk::Disk;
use crate::hostile::Hostile;
use alcove::proto::io::{Event, Input, Output};
use alcove::proto::node::Node;
use alcove::proto::time::Instant;

/// One phone.
pub struct Phone {
    /// The node; `None` while it is crashed, and on a hostile phone.
    pub node: Option<Node>,
    /// What runs instead of a node.
    pub hostile: Option<Hostile>,
    /// What it remembers.
    pub disk: Disk,
    /// What it told its people since they last looked.
    pub events: Vec<Event>,
    pub(crate) is_online: bool,
    pub(crate) wall_offset_ms: i64,
    pub(crate) started: Instant,
    pub(crate) cut_after_writes: Option<u64>,
    pub(crate) wake: Option<Instant>,
    /// Of its connection to the relay: what an earlier one had under way is lost.
    pub(crate) connection: u32,
    pub(crate) relay_heard_until: Instant,
}

impl Phone {
    /// A phone that runs this node and remembers nothing.
    pub fn new(node: Node) -> Phone {
        Phone {
            node: Some(node),
            hostile: None,
            disk: Disk::default(),
            events: Vec::new(),
            is_online: false,
            wall_offset_ms: 0,
            started: Instant(0),
            cut_after_writes: None,
            wake: None,
            connection: 0,
            relay_heard_until: Instant(0),
        }
    }

    /// Whether anything runs on it.
    pub fn runs(&self) -> bool {
        self.node.is_some() || self.hostile.is_some()
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        match (&mut self.node, &mut self.hostile) {
            (Some(node), _) => node.handle_input(now, input),
            (None, Some(hostile)) => hostile.handle_input(now, input),
            (None, None) => {}
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        match (&mut self.node, &mut self.hostile) {
            (Some(node), _) => node.poll_output(),
            (None, hostile) => hostile.as_mut().and_then(Hostile::poll_output),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match (&self.node, &self.hostile) {
            (Some(node), _) => node.poll_timeout(),
            (None, hostile) => hostile.as_ref().and_then(Hostile::poll_timeout),
        }
    }
}
