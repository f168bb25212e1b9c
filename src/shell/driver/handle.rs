//! The handle by which programs reach the node in its loop: changes, views, switches.
//!
//! Laws: a change is answered when it is durable, and not at all otherwise; a view never changes anything and is answered even while
//! the vault cannot write.

use super::{Situation, Transport};
use crate::proto::node::Node;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Why a command has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAnswered {
    /// The vault cannot write. If the command was carried out before this was known, it stands, unsent, and is saved with the next
    /// attempt; commands after it are not carried out.
    #[error("{0}")]
    NotSaved(String),
    /// The loop has ended.
    #[error("Alcove has stopped working here: start it again, nothing that was confirmed is lost")]
    Ended,
}

/// Tells whoever asked, once it is known whether the change is durable.
pub(super) type Confirm = Box<dyn FnOnce(Result<(), NotAnswered>) + Send>;

type Carry = Box<dyn FnOnce(Result<&mut Node, NotAnswered>) -> Confirm + Send>;

/// A change of the node that somebody waits for.
pub(super) struct Change(Carry);

impl Change {
    pub fn new<T: Send + 'static>(
        act: impl FnOnce(&mut Node) -> T + Send + 'static,
        answer: oneshot::Sender<Result<T, NotAnswered>>,
    ) -> Change {
        Change(Box::new(move |node| {
            let done = node.map(act);
            // Nobody waits any more if the other half is gone.
            Box::new(move |saved| drop(answer.send(done.and_then(|done| saved.map(|()| done)))))
        }))
    }

    pub fn carry_out(self, node: &mut Node) -> Confirm {
        (self.0)(Ok(node))
    }

    pub fn refuse(self, why: NotAnswered) {
        (self.0)(Err(why))(Ok(()));
    }
}

type View = Box<dyn FnOnce(&Node, &Situation) + Send>;

pub(super) enum Order {
    Change(Change),
    View(View),
    Switch(Transport, bool),
}

/// Reaches the node from anywhere. When all are dropped, the loop ends.
pub struct DriverHandle {
    orders: mpsc::Sender<Order>,
    driver: JoinHandle<()>,
    worker: JoinHandle<()>,
}

impl DriverHandle {
    pub(super) fn new(orders: mpsc::Sender<Order>, driver: JoinHandle<()>, worker: JoinHandle<()>) -> DriverHandle {
        DriverHandle { orders, driver, worker }
    }

    /// Carries out a command and answers when it is durable.
    ///
    /// # Errors
    /// [`NotAnswered`]: the disk is to be looked after, or the program to be started again.
    pub async fn change<T: Send + 'static>(&self, act: impl FnOnce(&mut Node) -> T + Send + 'static) -> Result<T, NotAnswered> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Change(Change::new(act, answer))).await.map_err(|_| NotAnswered::Ended)?;
        answered.await.map_err(|_| NotAnswered::Ended)?
    }

    /// Looks at the node.
    ///
    /// # Errors
    /// [`NotAnswered::Ended`].
    pub async fn view<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node, &Situation) -> T + Send + 'static,
    ) -> Result<T, NotAnswered> {
        let (answer, answered) = oneshot::channel();
        let view = move |node: &Node, situation: &Situation| drop(answer.send(look(node, situation)));
        self.orders.send(Order::View(Box::new(view))).await.map_err(|_| NotAnswered::Ended)?;
        answered.await.map_err(|_| NotAnswered::Ended)
    }

    /// Switches a transport on or off.
    ///
    /// # Errors
    /// [`NotAnswered::Ended`].
    pub async fn switch(&self, transport: Transport, is_on: bool) -> Result<(), NotAnswered> {
        self.orders.send(Order::Switch(transport, is_on)).await.map_err(|_| NotAnswered::Ended)
    }

    /// Ends the loop: says goodbye on the LAN, ends the worker, and closes the vault before it returns.
    pub async fn shutdown(self) {
        let Self { orders, driver, worker } = self;
        drop(orders);
        let _ = driver.await;
        let _ = worker.await;
    }
}
