//! `/search`: contacts and messages that hold some words.
//!
//! There is no index: the newest contacts, and the last messages of the conversations in which something happened last, are
//! read and compared. That is bounded by the numbers below, finds parts of words in every language, and costs nothing while
//! nobody searches. What lies further back is for SQL, which sees every message. An answer says whether it is complete.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::web;
use schemas::api::desk::{Found, FoundMessage, SearchQuery};
use schemas::api::problem::{ErrorCode, Problem};
use schemas::contact::Contact;
use schemas::conversation::{Conversation, Status};
use schemas::policy::Action;
use schemas::tables::{CONTACT_LIST, IDENTITIES, month_bucket};
use schemas::{ContactId, ConversationId};
use storage::tables::{Key, Scan};
use tokio::sync::Semaphore;

use super::contacts::MONTHS_BACK;
use super::cursor::page_limit;
use super::error::ApiError;
use super::extract::{Caller, State, ValidQuery};
use super::lists::{Place, places};
use super::read;
use super::route::{Access, Endpoints};
use super::state::AppState;
use crate::auth::principal::Principal;
use crate::directory::clustering_ids;

/// How many contacts are looked at, newest first.
const CONTACTS_LOOKED_AT: usize = 5_000;
/// How many contacts or conversations are read at a time.
const READ_AT_ONCE: usize = 200;
/// How many conversations are looked at, latest activity first.
const CONVERSATIONS_LOOKED_AT: usize = 1_000;
/// How many messages of a conversation are looked at, newest first.
const MESSAGES_OF_CONVERSATION: usize = 200;
/// How many messages are looked at in all.
const MESSAGES_LOOKED_AT: usize = 20_000;
/// How many searches the process does at once.
static RUNNING: Semaphore = Semaphore::const_new(2);

/// How many characters a search has.
const QUERY_CHARS: std::ops::RangeInclusive<usize> = 2..=100;
/// How many digits a phone number has at least that is looked up.
const PHONE_DIGITS: usize = 7;

/// Contacts, and messages of conversations that the caller may see, that hold all these words. Capitals, Arabic diacritics,
/// tatweel, the forms of alef, ya and ta marbuta, and digits of either kind make no difference. Looks at the newest 5,000
/// contacts, and at the last 200 messages of each of the 1,000 conversations with the latest activity, 20,000 messages in all;
/// a phone number that is written in full is found however old its contact is. `complete` says whether that was everything.
#[utoipa::path(
    get, path = "/api/v1/search", tag = "search", security(("bearer" = [])), params(SearchQuery),
    responses((status = 200, body = Found), (status = 422, body = Problem), (status = 429, body = Problem)),
)]
pub async fn search(
    state: State,
    caller: Caller,
    query: ValidQuery<SearchQuery>,
) -> Result<web::Json<Found>, ApiError> {
    let limit = page_limit(query.0.limit)?;
    let words = Words::read(&query.0.q)?;
    let Ok(_place) = RUNNING.try_acquire() else {
        let detail = "others are searching at this moment: try again";
        return Err(ApiError::new(ErrorCode::RateLimited, detail).retry_after(1));
    };
    let (contacts, all_contacts) = find_contacts(&state, &caller, &words, limit).await?;
    let (messages, all_messages) = find_messages(&state, &caller, &words, limit).await?;
    Ok(web::Json(Found { contacts, messages, complete: all_contacts && all_messages }))
}

/// What is looked for.
struct Words {
    folded: Vec<String>,
    /// The whole as a phone number in E.164, if it can be one.
    phone: Option<String>,
}

impl Words {
    fn read(text: &str) -> Result<Self, ApiError> {
        let length = text.trim().chars().count();
        let whole = fold(text);
        let folded: Vec<String> = whole.split_whitespace().map(str::to_owned).collect();
        if !QUERY_CHARS.contains(&length) || folded.is_empty() {
            let (least, most) = (QUERY_CHARS.start(), QUERY_CHARS.end());
            return Err(ApiError::invalid("q", format!("it has {length} characters: write {least} to {most}")));
        }
        let is_number = whole.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-().".contains(c));
        let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.strip_prefix("00").unwrap_or(&digits);
        let phone = (is_number && digits.len() >= PHONE_DIGITS).then(|| format!("+{digits}"));
        Ok(Self { folded, phone })
    }

    /// Whether these texts together hold every word.
    fn are_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).map(fold).collect();
        self.folded.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

/// A text as it is compared: in lower case, without Arabic's diacritics and tatweel, with one form of alef, ya, ta marbuta and
/// of each digit.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{064b}'..='\u{065f}' | '\u{0670}' | '\u{0640}' => {}
            'أ' | 'إ' | 'آ' | 'ٱ' => folded.push('ا'),
            'ى' | 'ی' => folded.push('ي'),
            'ک' => folded.push('ك'),
            'ة' => folded.push('ه'),
            '٠'..='٩' => folded.extend(char::from_digit(u32::from(c) - u32::from('٠'), 10)),
            '۰'..='۹' => folded.extend(char::from_digit(u32::from(c) - u32::from('۰'), 10)),
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

/// The contacts that were found, and whether there can be no more of them.
async fn find_contacts(
    state: &AppState,
    caller: &Principal,
    words: &Words,
    limit: usize,
) -> Result<(Vec<Contact>, bool), ApiError> {
    let workspace_id = caller.workspace_id;
    let mut found = contacts_by_phone(state, caller, words).await?;
    let created = state.directory.workspace(workspace_id).await?.created_at;
    let now = month_bucket(state.clock.now());
    let oldest = month_bucket(created).max(now - MONTHS_BACK);
    let (mut month, mut after, mut looked_at): (i64, Option<ContactId>, usize) = (now, None, 0);
    while month >= oldest {
        if looked_at >= CONTACTS_LOOKED_AT || found.len() > limit {
            found.truncate(limit);
            return Ok((found, false));
        }
        let mut scan = Scan::of([workspace_id.into(), month.into()], READ_AT_ONCE);
        if let Some(id) = after.take() {
            scan = scan.after(vec![id.into()]);
        }
        let rows = state.tables.scan(CONTACT_LIST, scan).await?;
        let ids: Vec<ContactId> = clustering_ids(&rows).map(ContactId::from_bytes).collect();
        looked_at += ids.len();
        match ids.last() {
            Some(last) if rows.len() == READ_AT_ONCE => after = Some(*last),
            _ => month -= 1,
        }
        for contact in read::contacts(state, workspace_id, ids).await? {
            let known = [&contact.name, &contact.phone, &contact.email].into_iter().filter_map(Option::as_deref);
            let addresses = contact.identities.iter().map(|identity| identity.address.as_str());
            if words.are_in(known.chain(addresses)) && !found.iter().any(|other| other.id == contact.id) {
                found.push(contact);
            }
        }
    }
    let complete = found.len() <= limit;
    found.truncate(limit);
    Ok((found, complete))
}

/// The contacts whom some channel knows by this number.
async fn contacts_by_phone(state: &AppState, caller: &Principal, words: &Words) -> Result<Vec<Contact>, ApiError> {
    let Some(phone) = &words.phone else { return Ok(Vec::new()) };
    let channels = state.directory.channels(caller.workspace_id).await?;
    let key = |channel_id: schemas::ChannelId| {
        (IDENTITIES, Key::of([caller.workspace_id.into(), channel_id.into(), phone.as_str().into()]))
    };
    let rows = state.tables.get_many(channels.iter().map(|record| key(record.channel.id)).collect()).await?;
    let ids: BTreeSet<ContactId> =
        rows.iter().flatten().filter_map(|row| row.uuid("contact_id")).map(ContactId::from_bytes).collect();
    Ok(read::contacts(state, caller.workspace_id, ids.into_iter().collect()).await?)
}

/// The messages that were found, and whether there can be no more of them.
async fn find_messages(
    state: &AppState,
    caller: &Principal,
    words: &Words,
    limit: usize,
) -> Result<(Vec<FoundMessage>, bool), ApiError> {
    let (latest, mut complete) = latest_conversations(state, caller).await?;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for ids in latest.chunks(READ_AT_ONCE) {
        for conversation in read::conversations(state, caller, ids.to_vec()).await? {
            let room = MESSAGES_OF_CONVERSATION.min(MESSAGES_LOOKED_AT - looked_at);
            complete &= conversation.last_seq <= room as u64;
            if room == 0 || found.len() > limit {
                found.truncate(limit);
                return Ok((found, false));
            }
            looked_at += find_in(state, caller, &conversation, words, room, &mut found).await?;
        }
    }
    complete &= found.len() <= limit;
    found.truncate(limit);
    Ok((found, complete))
}

/// Adds the messages of a conversation that hold the words; says how many were looked at.
async fn find_in(
    state: &AppState,
    caller: &Principal,
    conversation: &Conversation,
    words: &Words,
    room: usize,
    found: &mut Vec<FoundMessage>,
) -> Result<usize, ApiError> {
    let of = (caller.workspace_id, conversation.id);
    let before = conversation.last_seq.saturating_add(1);
    let messages = read::messages_before(state.tables.as_ref(), of, before, room).await?;
    let looked_at = messages.len();
    for message in messages {
        let names = message.body.attachments.iter().filter_map(|file| file.name.as_deref());
        if words.are_in(std::iter::once(message.body.text.as_str()).chain(names)) {
            found.push(FoundMessage { conversation: read::view(caller, conversation.clone()), message });
        }
    }
    Ok(looked_at)
}

/// The conversations of the caller's lists, latest activity first, and whether these are all.
async fn latest_conversations(state: &AppState, caller: &Principal) -> Result<(Vec<ConversationId>, bool), ApiError> {
    let me = caller.user_id;
    let holders = if caller.role.sees_all_conversations() {
        vec!["all".to_owned()]
    } else {
        vec![me.to_string(), "none".to_owned(), format!("mentioned:{me}")]
    };
    let mut latest: BTreeSet<Place> = BTreeSet::new();
    let mut complete = true;
    for status in Status::ALL {
        for holder in &holders {
            let list = format!("{}/{holder}", status.as_str());
            let found = places(state, caller, &list, None, CONVERSATIONS_LOOKED_AT).await?;
            complete &= found.len() < CONVERSATIONS_LOOKED_AT;
            latest.extend(found);
        }
    }
    complete &= latest.len() <= CONVERSATIONS_LOOKED_AT;
    Ok((latest.into_iter().rev().take(CONVERSATIONS_LOOKED_AT).map(|(_, id)| id).collect(), complete))
}

/// The routes of this file.
pub fn add_to(endpoints: &mut Endpoints) {
    endpoints.add(Method::GET, "/search", Access::Right(Action::ReadConversations), search);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_they_are_spelled() {
        let holds = |query: &str, text: &str| Words::read(query).unwrap().are_in([text]);
        assert!(holds("اين الطلب", "أَيْنَ الطّـــلب؟"));
        assert!(holds("مكتبه", "المكتبة") && holds("على", "علي") && holds("ORDER 12", "order ١٢٣"));
        assert!(!holds("order 13", "order ١٢٣"));
        assert!(Words::read("two words").unwrap().are_in(["has words", "two"]));
        assert!(Words::read(" x ").is_err() && Words::read(&"x".repeat(101)).is_err() && Words::read("ـــ").is_err());
    }

    #[test]
    fn a_number_is_looked_up_as_the_provider_writes_it() {
        let phone = |query: &str| Words::read(query).unwrap().phone;
        assert_eq!(phone("+966 50 123-4567").as_deref(), Some("+966501234567"));
        assert_eq!(phone("٠٠٩٦٦٥٠١٢٣٤٥٦٧").as_deref(), Some("+966501234567"));
        assert_eq!((phone("12345"), phone("order 12345678")), (None, None));
    }
}
