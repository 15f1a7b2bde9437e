//! What can go wrong at a provider, on demand: by rules that are set from outside, by what a message says
//! (`#simulate=…`), or by Twilio's own magic numbers.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The most rules that are kept; older ones make room.
const MAX_RULES: usize = 100;
/// The most messages whose `#simulate=…` is remembered as served.
const MAX_SERVED: usize = 10_000;

/// One way to go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fault {
    /// 429 with error 20429 and `Retry-After`; the message is not taken.
    RateLimited {
        /// What `Retry-After` says.
        retry_after_seconds: u32,
    },
    /// 503 with error 20503; the message is not taken.
    Unavailable,
    /// The message is taken, but the answer is 500.
    ErrorAfterAccepting,
    /// The message is taken, and the connection closed without an answer.
    DropAfterAccepting,
    /// The connection is closed without an answer, and the message not taken.
    DropBeforeAccepting,
    /// The message is taken; the answer comes late.
    Slow {
        /// How late.
        delay_milliseconds: u64,
    },
    /// 400 with this error; the message is not taken.
    Reject {
        /// Twilio's error code.
        code: u32,
    },
    /// The message is taken; later the carrier reports `undelivered` with this error.
    Undelivered {
        /// Twilio's error code.
        code: u32,
    },
    /// The message is taken, and nothing is heard of it any more.
    Silent,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// Only for messages to this address, as it stands in `To`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only for messages whose text holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
    /// For so many messages, then no more; without it, for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// For this share of them, 0 to 1; without it, for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl FaultRule {
    /// A rule for every message.
    pub const fn always(fault: Fault) -> Self {
        Self { fault, to: None, body_contains: None, times: None, share: None }
    }

    fn matches(&self, to: &str, body: &str) -> bool {
        self.times != Some(0)
            && self.to.as_deref().is_none_or(|wanted| wanted == to)
            && self.body_contains.as_deref().is_none_or(|wanted| body.contains(wanted))
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
    served: HashSet<(String, String)>,
}

impl Faults {
    /// Adds a rule; the first that matches decides.
    pub(crate) fn add(&mut self, rule: FaultRule) {
        if self.rules.len() >= MAX_RULES {
            self.rules.remove(0);
        }
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// What goes wrong with this message. `chance` gives a number from 0 to 1.
    pub(crate) fn strike(&mut self, to: &str, body: &str, mut chance: impl FnMut() -> f64) -> Option<Fault> {
        for rule in &mut self.rules {
            if rule.matches(to, body) && rule.share.is_none_or(|share| chance() < share) {
                if let Some(times) = &mut rule.times {
                    *times -= 1;
                }
                return Some(rule.fault.clone());
            }
        }
        self.by_content(to, body).or_else(|| by_number(to))
    }

    /// `#simulate=…` in a text. What hits the request strikes once a message, so that a second try succeeds.
    fn by_content(&mut self, to: &str, body: &str) -> Option<Fault> {
        let (_before, wish) = body.split_once("#simulate=")?;
        let word: String = wish.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let fault = match word.as_str() {
            "429" => Fault::RateLimited { retry_after_seconds: 1 },
            "503" => Fault::Unavailable,
            "500" => Fault::ErrorAfterAccepting,
            "drop" => Fault::DropAfterAccepting,
            "refuse" => Fault::DropBeforeAccepting,
            "slow" => Fault::Slow { delay_milliseconds: 3_000 },
            "silent" => return Some(Fault::Silent),
            code => return code.parse().ok().map(|code| Fault::Undelivered { code }),
        };
        if self.served.len() >= MAX_SERVED {
            self.served.clear();
        }
        let first = self.served.insert((to.to_owned(), body.to_owned()));
        first.then_some(fault)
    }
}

/// Twilio's magic numbers of test credentials (Twilio, "Test credentials").
fn by_number(to: &str) -> Option<Fault> {
    let code = match to.trim_start_matches("whatsapp:") {
        "+15005550001" => 21_211,
        "+15005550002" => 21_612,
        "+15005550003" => 21_408,
        "+15005550004" => 21_610,
        "+15005550009" => 21_614,
        _ => return None,
    };
    Some(Fault::Reject { code })
}

/// Twilio's words for the errors that the simulator gives.
pub(crate) const fn describe(code: u32) -> &'static str {
    match code {
        20_003 => "Authenticate",
        20_404 => "The requested resource was not found",
        20_429 => "Too Many Requests",
        20_500 => "An internal server error has occurred",
        20_503 => "Service unavailable. Please try again",
        21_211 => "The 'To' number is not a valid phone number.",
        21_408 => "Permission to send an SMS has not been enabled for the region indicated by the 'To' number.",
        21_602 => "Message body is required.",
        21_603 => "A 'From' phone number is required.",
        21_604 => "A 'To' phone number is required.",
        21_610 => "Attempt to send to unsubscribed recipient",
        21_611 => "This 'From' number has exceeded the maximum number of queued messages",
        21_612 => "The 'To' phone number is not currently reachable via SMS",
        21_614 => "'To' number is not a valid mobile number",
        21_617 => "The concatenated message body exceeds the 1600 character limit",
        30_003 => "Unreachable destination handset",
        30_005 => "Unknown destination handset",
        30_007 => "Message filtered",
        30_008 => "Unknown error",
        63_016 => "Failed to send freeform message because you are outside the allowed window",
        _ => "Message failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_down_and_then_lets_pass() {
        let mut faults = Faults::default();
        faults.add(FaultRule { times: Some(2), to: Some("+1".into()), ..FaultRule::always(Fault::Unavailable) });
        assert_eq!(faults.strike("+2", "x", || 0.0), None);
        assert_eq!(faults.strike("+1", "x", || 0.0), Some(Fault::Unavailable));
        assert_eq!(faults.strike("+1", "x", || 0.0), Some(Fault::Unavailable));
        assert_eq!(faults.strike("+1", "x", || 0.0), None);
    }

    #[test]
    fn a_wish_in_the_text_strikes_the_first_try_only() {
        let mut faults = Faults::default();
        let body = "please #simulate=429 thanks";
        assert_eq!(faults.strike("+1", body, || 0.0), Some(Fault::RateLimited { retry_after_seconds: 1 }));
        assert_eq!(faults.strike("+1", body, || 0.0), None);
        assert_eq!(faults.strike("+1", "#simulate=30007", || 0.0), Some(Fault::Undelivered { code: 30_007 }));
        assert_eq!(faults.strike("+1", "#simulate=", || 0.0), None);
    }

    #[test]
    fn magic_numbers_are_refused() {
        let mut faults = Faults::default();
        assert_eq!(faults.strike("whatsapp:+15005550004", "x", || 0.0), Some(Fault::Reject { code: 21_610 }));
    }
}
