//! Orders for boards on serial ports.

use tidegate_protocol::serial::{Answer as Answered, Command, Outcome, Report};

use super::{Answer, BoardAnswer, BoardOrder, BoardReport, BoardRequest, Services};

/// Passes an order on, and waits for what the board answers.
pub(super) async fn order(request: &BoardRequest, services: &Services) -> Answer {
    let command = match request.order {
        BoardOrder::Report => Command::Report,
        BoardOrder::Identify { seconds } => Command::Identify { seconds },
        BoardOrder::SetPeriod { period_ms } => Command::SetPeriod { period_ms },
        BoardOrder::Reboot => Command::Reboot,
    };
    match services.shared.orders.give(&request.device, command).await {
        Ok(answered) => Answer::Board(read(&answered)),
        Err(error) => Answer::Error(error.to_string()),
    }
}

fn read(answered: &Answered) -> BoardAnswer {
    let report = answered.report.map(|report| {
        let Report { boot, uptime_ms, period_ms, stored, dropped, refused, noise, links } = report;
        BoardReport { boot, uptime_ms, period_ms, stored, dropped, refused, noise, links }
    });
    BoardAnswer { is_done: answered.outcome == Outcome::Done, report }
}
