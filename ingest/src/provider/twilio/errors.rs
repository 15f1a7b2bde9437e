//! What Twilio's error codes mean for a message and for the channel that sends it.
//!
//! An error comes with the answer to a call, where its [`Class`] says how to go on, or with a later report on a message that
//! Twilio took, where [`remedy`] says whether to send it again.
//!
//! Source: Twilio's "Error and Warning Dictionary", and the notes there on which errors may be tried again.

use schemas::command::Remedy;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The message was certainly not taken and may be sent again.
    Safe,
    /// The message may have been taken: look before it is sent again.
    Ambiguous,
    /// The message will never be taken.
    Permanent,
    /// The contact has asked for no more messages.
    OptedOut,
    /// Something is wrong with the account or the channel: no message of it can be sent until somebody mends that.
    Account,
}

/// Code, class and reason.
type Known = (u32, Class, &'static str);

/// Sorted by code.
const KNOWN: &[Known] = &[
    (20003, Class::Account, "Twilio does not accept the channel's account SID or auth token."),
    (20005, Class::Account, "The Twilio account is not active."),
    (20162, Class::Safe, "Twilio is limiting this account for a moment."),
    (20404, Class::Account, "Twilio does not know the channel's account."),
    (20409, Class::Safe, "Twilio was busy with a conflicting request."),
    (20429, Class::Safe, "Twilio took in too many requests at once."),
    (20500, Class::Ambiguous, "Twilio had an internal error."),
    (20503, Class::Ambiguous, "Twilio was not available."),
    (21211, Class::Permanent, "The contact's number is not a valid phone number."),
    (21212, Class::Permanent, "The channel's own number is not valid for sending."),
    (21408, Class::Permanent, "The Twilio account may not send to the contact's region."),
    (21602, Class::Permanent, "The message has neither text nor a file."),
    (21604, Class::Permanent, "The message has no recipient."),
    (21606, Class::Permanent, "The channel's number cannot send to this contact."),
    (21608, Class::Permanent, "A Twilio trial account sends only to numbers that were verified."),
    (21609, Class::Account, "Twilio cannot call this hub: its public address is not a public one."),
    (21610, Class::OptedOut, "The contact has asked for no more messages (STOP)."),
    (21611, Class::Safe, "Too many messages of the channel's number wait at Twilio."),
    (21612, Class::Permanent, "The contact's number cannot be reached from the channel's number."),
    (21614, Class::Permanent, "The contact's number is not a mobile number."),
    (21617, Class::Permanent, "The message is longer than 1,600 characters."),
    (21620, Class::Permanent, "The address of a file is not valid."),
    (21623, Class::Permanent, "A file has a type that cannot be sent."),
    (21660, Class::Account, "The channel's number does not belong to the Twilio account."),
    (21730, Class::Safe, "Twilio could not take the message at that moment."),
    (30001, Class::Safe, "Too many messages wait at Twilio."),
    (30002, Class::Account, "The Twilio account is suspended."),
    (30003, Class::Permanent, "The contact's phone is switched off or out of reach."),
    (30004, Class::Permanent, "The contact's phone or carrier blocks messages."),
    (30005, Class::Permanent, "The contact's number is unknown or no longer in use."),
    (30006, Class::Permanent, "The contact's number is a landline or its carrier cannot be reached."),
    (30007, Class::Permanent, "The carrier filtered the message as unwanted."),
    (30008, Class::Safe, "The carrier gave no reason."),
    (30017, Class::Safe, "The carrier's network is congested."),
    (30022, Class::Safe, "The campaign's rate limit at the carrier was reached."),
    (30027, Class::Safe, "The campaign's daily limit at the carrier was reached."),
    (63003, Class::Permanent, "WhatsApp could not find the contact."),
    (63016, Class::Permanent, "The contact last wrote more than 24 hours ago: only an approved template may be sent."),
    (63018, Class::Safe, "WhatsApp's rate limit was reached."),
    (63024, Class::Permanent, "The contact cannot be reached on WhatsApp."),
    (63028, Class::Permanent, "The template's number of variables does not fit."),
    (63032, Class::Permanent, "WhatsApp does not let this contact receive the message."),
    (63034, Class::Permanent, "A file is larger than WhatsApp allows."),
    (63038, Class::Safe, "The account's daily limit of messages was reached."),
    (63041, Class::Account, "The template was paused by WhatsApp."),
    (63049, Class::Safe, "WhatsApp held back a marketing message to this contact."),
];

fn known(code: u32) -> Option<&'static Known> {
    KNOWN.binary_search_by_key(&code, |(known, ..)| *known).ok().and_then(|index| KNOWN.get(index))
}

/// What to do about a code; `None` for one that is not known here.
pub fn class(code: u32) -> Option<Class> {
    known(code).map(|(_, class, _)| *class)
}

/// The carrier gave no reason: it may be something that passes, or not.
const UNKNOWN_ERROR: u32 = 30_008;

/// What to do about a message that Twilio took and reports as failed with this code; `None` if there is nothing to do.
pub fn remedy(code: u32) -> Option<Remedy> {
    match class(code)? {
        Class::Safe if code == UNKNOWN_ERROR => Some(Remedy::ResendOnce),
        Class::Safe => Some(Remedy::Resend),
        Class::OptedOut => Some(Remedy::OptOut),
        // Nothing here passes by itself, or it is no error of a message that was taken.
        Class::Ambiguous | Class::Permanent | Class::Account => None,
    }
}

/// A sentence for the agent on an error code; `detail` is what Twilio itself says, for codes that are not known here.
pub fn reason(code: &str, detail: Option<&str>) -> String {
    if let Some((_, _, reason)) = code.parse().ok().and_then(known) {
        return (*reason).to_owned();
    }
    match detail.map(str::trim).filter(|detail| !detail.is_empty()) {
        Some(detail) => detail.chars().take(300).collect(),
        None => format!("Twilio reports error {}.", code.chars().take(20).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_so_that_each_is_found() {
        assert!(KNOWN.is_sorted_by_key(|(code, ..)| *code));
        for (code, expected, text) in KNOWN {
            assert_eq!(class(*code), Some(*expected));
            assert_eq!(reason(&code.to_string(), Some("other")), *text);
        }
    }

    #[test]
    fn what_passes_is_sent_again_and_a_stop_is_kept() {
        for (code, expected) in [
            (30_001, Some(Remedy::Resend)),
            (30_017, Some(Remedy::Resend)),
            (30_022, Some(Remedy::Resend)),
            (63_018, Some(Remedy::Resend)),
            (30_008, Some(Remedy::ResendOnce)),
            (21_610, Some(Remedy::OptOut)),
            (30_003, None),
            (30_002, None),
            (20_500, None),
            (99_999, None),
        ] {
            assert_eq!(remedy(code), expected, "{code}");
        }
    }

    #[test]
    fn an_unknown_code_gets_twilios_own_words() {
        assert_eq!(reason("99999", Some(" Odd. ")), "Odd.");
        assert_eq!(reason("99999", None), "Twilio reports error 99999.");
        assert_eq!(class(99_999), None);
    }
}
