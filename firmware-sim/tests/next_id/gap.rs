//! No link of the radio lives under two ids: what comes up while nothing is shown is refused.

use alcove::proto::id::LinkId;
use alcove::proto::io::{Input, Origin, Output, RadioCommand, RadioEvent};
use alcove::proto::link::Link;
use alcove::proto::node::Node;
use alcove::proto::rng::Rng;
use alcove::proto::time::Instant;
use firmware_sim::network::{Network, START};

/// Lets the phone work until its radio is ordered to do something of this kind; gives what else it ordered.
fn run(node: &mut Node, now: &mut Instant, is_it: impl Fn(&RadioCommand) -> bool) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        let mut is_there = false;
        while let Some(output) = node.poll_output() {
            is_there |= matches!(&output, Output::Radio(command) if is_it(command));
            outputs.push(output);
        }
        if is_there {
            return outputs;
        }
        *now = node.poll_timeout().expect("it has a radio").max(*now);
        node.handle_input(*now, Input::Timeout);
    }
}

#[test]
fn a_link_that_comes_up_in_the_silence_between_two_ids_is_refused() {
    let network = Network::new(3, 1);
    let (mut node, mut now, rng) = (Node::new([5; 32]), Instant(0), &mut Rng::new([6; 32]));
    node.handle_input(now, Input::Wall(START));
    node.join_event(network.pack()).unwrap();
    node.handle_input(now, Input::Radio(RadioEvent::On));
    run(&mut node, &mut now, |command| matches!(command, RadioCommand::Silence));
    // Its connection was opened under the old id, and its first value comes late.
    let link = LinkId(1);
    let (mut other, first) = Link::initiate(rng, now, &network.pack().event().0, None);
    node.handle_input(now, Input::LinkUp { link, origin: Origin::Near(None) });
    node.handle_input(now, Input::Received { link, bytes: first });
    let outputs = run(&mut node, &mut now, |command| matches!(command, RadioCommand::Advertise { .. }));
    assert!(outputs.contains(&Output::Disconnect { link }));
    let said = outputs.iter().filter_map(|output| if let Output::Transmit { bytes, .. } = output { Some(bytes) } else { None });
    said.for_each(|bytes| drop(other.receive(rng, bytes, &[])));
    assert!(!other.is_up(), "a neighbour of the old id has a link while the new one is shown");
}
