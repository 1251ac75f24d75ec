//! What the owner wants a board to do: handed over to the serial thread, which has its link.

use std::{
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tidegate_protocol::serial::{Answer, Command};
use tokio::sync::{Notify, oneshot};

use super::{Serial, open::Standing};
use crate::session::serial::LinkId;

/// Orders that are not answered yet.
const ORDERS_MAX: usize = 64;
/// How long a board has to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why a board did not do it.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It has no link.
    #[error(
        "{0} is on none of this gateway's serial ports at the moment; tidegate status lists those that are"
    )]
    NotLinked(String),
    /// It did not answer.
    #[error("the board did not answer within {} seconds", ANSWER_MAX.as_secs())]
    Silent,
    /// Too many are waiting.
    #[error("{ORDERS_MAX} orders wait for their answers already; try again")]
    TooMany,
}

/// Orders on their way to the serial thread.
#[derive(Default)]
pub struct Orders {
    waiting: Mutex<Vec<Order>>,
    has_order: Notify,
}

struct Order {
    device: String,
    command: Command,
    answer: oneshot::Sender<Result<Answer, OrderError>>,
}

/// An order that is out.
pub(super) struct Given {
    link: LinkId,
    id: u32,
    answer: oneshot::Sender<Result<Answer, OrderError>>,
}

impl Orders {
    /// Has `device` carry out `command`; what it answers.
    ///
    /// # Errors
    /// [`OrderError`].
    pub async fn give(&self, device: &str, command: Command) -> Result<Answer, OrderError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= ORDERS_MAX {
                return Err(OrderError::TooMany);
            }
            waiting.push(Order { device: device.to_owned(), command, answer });
        }
        self.has_order.notify_one();
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(OrderError::Silent),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Order>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serial {
    /// Passes orders on to the boards.
    pub(super) async fn follow_orders(self: Rc<Self>) {
        loop {
            self.shared.orders.has_order.notified().await;
            let orders = std::mem::take(&mut *self.shared.orders.waiting());
            for order in orders {
                self.pass_on(order);
            }
        }
    }

    fn pass_on(&self, order: Order) {
        let Order { device, command, answer } = order;
        let mut given = self.given.borrow_mut();
        // Whoever asked has given up, or the board is gone.
        given.retain(|given| !given.answer.is_closed());
        if given.len() >= ORDERS_MAX {
            let _heard = answer.send(Err(OrderError::TooMany)).is_ok();
            return;
        }
        let id = self.next_order.get();
        self.next_order.set(id.wrapping_add(1));
        for port in self.ports() {
            let parties = port.parties.borrow();
            let is_device = |standing: &Standing| match standing {
                Standing::Is(login) => login.device.as_str() == device,
                Standing::Claims(_) => false,
            };
            let link = parties.iter().find(|(_, party)| is_device(&party.standing)).map(|(link, _)| *link);
            if let Some(link) = link
                && port.port.borrow_mut().handle_command(link, id, command)
            {
                port.has_said.notify_one();
                given.push(Given { link, id, answer });
                return;
            }
        }
        let _heard = answer.send(Err(OrderError::NotLinked(device))).is_ok();
    }

    /// A board has answered.
    pub(super) fn hear_answer(&self, link: LinkId, answer: Answer) {
        let mut given = self.given.borrow_mut();
        let at = given.iter().position(|given| given.id == answer.id && given.link == link);
        if let Some(at) = at {
            let _heard = given.swap_remove(at).answer.send(Ok(answer)).is_ok();
        }
    }
}
