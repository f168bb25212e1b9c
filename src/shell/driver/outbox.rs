//! What the node wants done and is not done yet, in steps: first what must be durable, then what may be seen because of it.
//!
//! Law: nothing is handed out for which an earlier [`Persist`] has not been reported durable; all that is to be remembered before the
//! next thing that leaves the device is one batch, and so one transaction.

use crate::proto::io::{Output, Persist};
use std::collections::VecDeque;

/// Steps in order.
#[derive(Debug, Default)]
pub struct Outbox {
    steps: VecDeque<Step>,
}

#[derive(Debug, Default)]
struct Step {
    persists: Vec<Persist>,
    effects: Vec<Output>,
    /// Something of the effects leaves the device, so that a later `Persist` belongs to the next step.
    is_sent: bool,
}

impl Outbox {
    /// Adds the node's next output.
    pub fn push(&mut self, output: Output) {
        let is_full = self.steps.back().is_none_or(|step| step.is_sent && matches!(output, Output::Persist(_)));
        if is_full {
            self.steps.push_back(Step::default());
        }
        let Some(step) = self.steps.back_mut() else { return };
        match output {
            Output::Persist(persist) => step.persists.push(persist),
            Output::Transmit { .. } | Output::Disconnect { .. } | Output::Dial { .. } | Output::Relay(_) | Output::Radio(_) => {
                step.is_sent = true;
                step.effects.push(output);
            }
            // A job's answer comes back as an input; what a person sees counts as acknowledged, and waits with the rest.
            Output::Compute { .. } | Output::Event(_) => step.effects.push(output),
        }
    }

    /// The effects of the next step, once `commit` has made its batch durable (it is not asked about an empty one).
    ///
    /// # Errors
    /// Those of `commit`: then nothing is handed out, and the next call tries the same batch again.
    pub fn next<E>(&mut self, commit: impl FnOnce(&[Persist]) -> Result<(), E>) -> Result<Option<Vec<Output>>, E> {
        let Some(step) = self.steps.front_mut() else { return Ok(None) };
        if !step.persists.is_empty() {
            commit(&step.persists)?;
        }
        Ok(self.steps.pop_front().map(|step| step.effects))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::LinkId;
    use crate::proto::io::{Event, Scope};

    fn put(name: u8) -> Output {
        Output::Persist(Persist::Put { scope: Scope::Durable, name: vec![name], value: vec![] })
    }

    fn send(number: u64) -> Output {
        Output::Transmit { link: LinkId(number), bytes: vec![] }
    }

    fn outbox(outputs: impl IntoIterator<Item = Output>) -> Outbox {
        let mut outbox = Outbox::default();
        outputs.into_iter().for_each(|output| outbox.push(output));
        outbox
    }

    #[test]
    fn what_comes_before_a_transmit_is_durable_before_it_leaves_and_in_one_batch() {
        let told = Output::Event(Event::BoardChanged);
        let mut outbox = outbox([put(1), told.clone(), put(2), send(1), send(2), put(3), told.clone(), put(4)]);
        let mut batches = Vec::new();
        let mut next = |outbox: &mut Outbox| {
            outbox.next(|batch| {
                batches.push(batch.len());
                Ok::<_, ()>(())
            })
        };
        assert_eq!(next(&mut outbox), Ok(Some(vec![told.clone(), send(1), send(2)])));
        assert_eq!(next(&mut outbox), Ok(Some(vec![told])));
        assert_eq!(next(&mut outbox), Ok(None));
        assert_eq!(batches, [2, 2]);
    }

    #[test]
    fn a_full_disk_holds_back_everything_and_loses_nothing() {
        let mut outbox = outbox([send(1), put(1), send(2)]);
        assert_eq!(outbox.next(|_| Err("full")), Ok(Some(vec![send(1)])), "what needs no disk goes on");
        assert_eq!(outbox.next(|_| Err("full")), Err("full"));
        outbox.push(send(3));
        assert_eq!(outbox.next(|_| Err("full")), Err("full"));
        assert_eq!(outbox.next(|batch| if batch == [persist(1)] { Ok(()) } else { Err("lost") }), Ok(Some(vec![send(2), send(3)])));
    }

    fn persist(name: u8) -> Persist {
        match put(name) {
            Output::Persist(persist) => persist,
            _ => unreachable!("put makes a Persist"),
        }
    }
}
