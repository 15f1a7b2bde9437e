//! What happens to a message after it was taken: it is sent, delivered, perhaps read, perhaps filtered on the way; each
//! step goes to the message's status callback, signed.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::faults::{Fault, describe};
use crate::clock;
use crate::simulator::TakenMessage;

/// When and how messages go on after they were taken. Times are from step to step, before a jitter of half to one and a
/// half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallbackPlan {
    /// From taken to `sent`.
    pub sent_after: Duration,
    /// From `sent` to `delivered`.
    pub delivered_after: Duration,
    /// From `delivered` to `read` (WhatsApp only).
    pub read_after: Duration,
    /// The share of delivered WhatsApp messages that are read, 0 to 1.
    pub read_share: f64,
    /// The share of sent messages that end as `undelivered` with error 30007, 0 to 1.
    pub filtered_share: f64,
    /// The share of callbacks that come twice, as providers' callbacks do, 0 to 1.
    pub repeated_share: f64,
}

impl Default for CallbackPlan {
    fn default() -> Self {
        Self {
            sent_after: Duration::from_millis(200),
            delivered_after: Duration::from_millis(800),
            read_after: Duration::from_secs(4),
            read_share: 0.8,
            filtered_share: 0.02,
            repeated_share: 0.02,
        }
    }
}

impl CallbackPlan {
    /// Everything at once and well: for tests.
    pub const fn prompt() -> Self {
        Self {
            sent_after: Duration::ZERO,
            delivered_after: Duration::ZERO,
            read_after: Duration::ZERO,
            read_share: 1.0,
            filtered_share: 0.0,
            repeated_share: 0.0,
        }
    }
}

/// Takes a message through its life. Ends early when the simulator stops or the message is canceled.
pub(super) async fn follow(inner: Arc<Inner>, message: TakenMessage, fault: Option<Fault>) {
    if fault == Some(Fault::Silent) {
        return;
    }
    let plan = inner.callbacks;
    let whatsapp = message.to.starts_with("whatsapp:");
    let lost = match fault {
        Some(Fault::Undelivered { code }) => Some(code),
        _ => (inner.chance() < plan.filtered_share).then_some(30_007),
    };
    let mut steps = vec![(plan.sent_after, "sent", None)];
    if let Some(code) = lost {
        steps.push((plan.delivered_after, "undelivered", Some(code)));
    } else {
        steps.push((plan.delivered_after, "delivered", None));
        if whatsapp && inner.chance() < plan.read_share {
            steps.push((plan.read_after, "read", None));
        }
    }
    for (after, status, error_code) in steps {
        let jitter = 0.5 + inner.chance();
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(after.mul_f64(jitter)) => {}
        }
        let Some(message) = advance(&inner, &message.sid, status, error_code) else { return };
        report(&inner, &message).await;
        if inner.chance() < plan.repeated_share {
            report(&inner, &message).await;
        }
    }
}

fn advance(inner: &Inner, sid: &str, status: &'static str, error_code: Option<u32>) -> Option<TakenMessage> {
    let mut store = inner.store();
    let message = store.get_mut(sid)?;
    if message.status == "canceled" {
        return None;
    }
    message.status = status;
    message.error_code = error_code;
    message.updated_at = clock::now();
    Some(message.clone())
}

async fn report(inner: &Inner, message: &TakenMessage) {
    let Some(url) = &message.status_callback else { return };
    let outcome = inner.post_signed(url, &message.account_sid, &params(message)).await;
    let mut store = inner.store();
    if outcome.is_ok_and(|status| (200..300).contains(&status)) {
        store.stats.callbacks_delivered += 1;
    } else {
        store.stats.callbacks_failed += 1;
    }
}

/// The parameters of a status callback, with those that only WhatsApp has.
fn params(message: &TakenMessage) -> Vec<(&'static str, String)> {
    let mut params = vec![
        ("SmsSid", message.sid.clone()),
        ("SmsStatus", message.status.to_owned()),
        ("MessageStatus", message.status.to_owned()),
        ("To", message.to.clone()),
        ("MessageSid", message.sid.clone()),
        ("AccountSid", message.account_sid.clone()),
        ("From", message.from.clone()),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    if let Some(code) = message.error_code {
        params.push(("ErrorCode", code.to_string()));
        params.push(("ErrorMessage", describe(code).to_owned()));
    }
    if let Some(number) = message.to.strip_prefix("whatsapp:") {
        params.push(("ChannelPrefix", "whatsapp".to_owned()));
        params.push(("ChannelInstallSid", format!("XE{:032x}", 1)));
        params.push(("ChannelToAddress", number.to_owned()));
        if message.status == "read" {
            params.push(("EventType", "READ".to_owned()));
        }
    } else if message.status == "delivered" {
        params.push(("RawDlrDoneDate", clock::raw_done_date(message.updated_at)));
    }
    params
}
