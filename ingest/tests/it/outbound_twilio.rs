//! Twilio's client alone: what it sends, and how it judges what comes back.

use std::time::Duration;

use ingest::outbound::sender::{LookUp, OutboundMessage, SendVerdict};
use ingest::outbound::{HttpSettings, ProviderSenders, Sender, SenderFactory as _, http_client};
use schemas::channel::{AssignmentPolicy, Channel, ChannelRecord, Credentials, Medium, Provider, Secret};
use schemas::message::{Attachment, Body, DeliveryStatus, Location};
use schemas::{ChannelId, MessageId, Timestamp, WorkspaceId};
use serde_json::json;
use std::sync::Arc;

use super::outbound_fake::{Act, FakeTwilio, nobody};

pub(crate) const SID: &str = "AC00000000000000000000000000000001";

pub(crate) fn channel(medium: Medium, address: &str, api_base: &str) -> ChannelRecord {
    let at = Timestamp::from_unix_seconds(1_795_000_000);
    ChannelRecord {
        channel: Channel {
            id: ChannelId::new(at, &[7; 10]),
            workspace_id: WorkspaceId::new(at, &[1; 10]),
            name: "Support".to_owned(),
            provider: Provider::Twilio,
            medium,
            address: address.to_owned(),
            assignment: AssignmentPolicy::Manual,
            reopen_hours: 24,
            active: true,
            version: 1,
        },
        credentials: Credentials::Twilio {
            account_sid: SID.to_owned(),
            auth_tokens: vec![Secret::new("token-a"), Secret::new("token-b")],
            api_base: api_base.to_owned(),
            messages_per_second: 1_000,
        },
    }
}

pub(crate) fn senders(total_timeout: Duration) -> ProviderSenders {
    let client = http_client(HttpSettings { connect_timeout: Duration::from_millis(200), total_timeout }).unwrap();
    ProviderSenders::new(client, "https://hub.example/")
}

fn sender(record: &ChannelRecord) -> Arc<dyn Sender> {
    senders(Duration::from_secs(1)).sender(record).unwrap()
}

fn sms(fake: &FakeTwilio) -> Arc<dyn Sender> {
    sender(&channel(Medium::Sms, "+14155550100", &format!("http://{}", fake.address)))
}

fn message(text: &str) -> OutboundMessage {
    let id = MessageId::new(Timestamp::from_unix_seconds(1), &[3; 10]);
    OutboundMessage { message_id: id, to: "+966501234567".to_owned(), body: Body::text(text) }
}

#[tokio::test]
async fn posts_what_twilio_wants() {
    let fake = FakeTwilio::start().await;
    let verdict = sms(&fake).send(&message("hello")).await;
    assert!(matches!(verdict, SendVerdict::Accepted { status: DeliveryStatus::Sent, .. }), "{verdict:?}");
    let post = fake.posts().pop().unwrap();
    assert_eq!(post.path, format!("/2010-04-01/Accounts/{SID}/Messages.json"));
    let record = channel(Medium::Sms, "", "");
    let callback = format!("https://hub.example/webhooks/twilio/{}", record.channel.id);
    let expected =
        [("To", "+966501234567"), ("From", "+14155550100"), ("Body", "hello"), ("StatusCallback", callback.as_str())];
    let params: Vec<_> = post.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(params, expected);
    // The first token signs: base64 of `AC…01:token-a`.
    assert_eq!(post.authorization, "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTp0b2tlbi1h");
}

#[tokio::test]
async fn addresses_whatsapp_media_places_and_messaging_services() {
    let fake = FakeTwilio::start().await;
    let base = format!("http://{}", fake.address);
    let mut rich = message("look");
    let file = |url: &str| Attachment { url: url.to_owned(), content_type: "image/png".to_owned(), name: None };
    rich.body.attachments = vec![file("https://x/1"), file("https://x/2")];
    rich.body.location =
        Some(Location { latitude: 24.5, longitude: 46.25, label: Some("Shop".to_owned()), address: None });
    sender(&channel(Medium::Whatsapp, "+14155238886", &base)).send(&rich).await;
    rich.to = "SA.4566".to_owned();
    sender(&channel(Medium::Whatsapp, "+14155238886", &base)).send(&rich).await;
    sender(&channel(Medium::Sms, "MG1", &base)).send(&message("x")).await;
    let posts = fake.posts();
    assert_eq!(posts[0].param("To"), Some("whatsapp:+966501234567"));
    assert_eq!(posts[0].param("From"), Some("whatsapp:+14155238886"));
    assert_eq!(posts[0].param("PersistentAction"), Some("geo:24.5,46.25|Shop"));
    let media: Vec<_> =
        posts[0].params.iter().filter(|(name, _)| name == "MediaUrl").map(|(_, url)| url.as_str()).collect();
    assert_eq!(media, ["https://x/1", "https://x/2"]);
    assert_eq!(posts[1].param("To"), Some("whatsapp:SA.4566"));
    assert_eq!((posts[2].param("MessagingServiceSid"), posts[2].param("From")), (Some("MG1"), None));
}

#[tokio::test]
async fn judges_each_way_to_fail() {
    let fake = FakeTwilio::start().await;
    fake.plan([
        Act::Refuse { status: 429, headers: "Retry-After: 7\r\n", code: 20_429 },
        Act::Refuse { status: 400, headers: "", code: 21_610 },
        Act::Refuse { status: 401, headers: "", code: 20_003 },
        Act::Refuse { status: 302, headers: "Location: http://127.0.0.1:1/\r\n", code: 0 },
        Act::Fail { taken: false },
        Act::HangUp { taken: false },
        Act::Hang { taken: false },
    ]);
    let sender = sms(&fake);
    let verdict = sender.send(&message("1")).await;
    assert!(
        matches!(verdict, SendVerdict::Safe { retry_after: Some(after), reached: true, .. } if after.as_secs() == 7),
        "{verdict:?}"
    );
    let verdict = sender.send(&message("2")).await;
    assert!(
        matches!(&verdict, SendVerdict::Permanent { opted_out: true, error } if error.code == "21610"),
        "{verdict:?}"
    );
    let verdict = sender.send(&message("3")).await;
    assert!(matches!(&verdict, SendVerdict::ConfigOrAccount { error } if error.code == "20003"), "{verdict:?}");
    let verdict = sender.send(&message("4")).await;
    assert!(!matches!(verdict, SendVerdict::Accepted { .. }), "a redirect is not followed: {verdict:?}");
    for (text, code) in [("5", "20500"), ("6", "connection_lost"), ("7", "timed_out")] {
        let verdict = sender.send(&message(text)).await;
        assert!(matches!(&verdict, SendVerdict::Ambiguous { error } if error.code == code), "{code}: {verdict:?}");
    }
    assert_eq!(fake.posts().len(), 7, "the client itself never tries again");
}

#[tokio::test]
async fn what_never_went_out_is_safe() {
    let record = channel(Medium::Sms, "+1", &format!("http://{}", nobody().await));
    let verdict = sender(&record).send(&message("x")).await;
    assert!(
        matches!(&verdict, SendVerdict::Safe { error, reached: false, .. } if error.code == "connect_failed"),
        "{verdict:?}"
    );
    // TLS fails before the request: the fake speaks none.
    let fake = FakeTwilio::start().await;
    let record = channel(Medium::Sms, "+1", &format!("https://{}", fake.address));
    let verdict = sender(&record).send(&message("x")).await;
    assert!(matches!(&verdict, SendVerdict::Safe { .. }), "{verdict:?}");
    let mut record = channel(Medium::Sms, "+1", "not an address");
    assert!(matches!(sender(&record).send(&message("x")).await, SendVerdict::ConfigOrAccount { .. }));
    let Credentials::Twilio { auth_tokens, .. } = &mut record.credentials else { unreachable!() };
    auth_tokens.clear();
    assert!(matches!(sender(&record).send(&message("x")).await, SendVerdict::ConfigOrAccount { .. }));
}

#[tokio::test]
async fn finds_what_was_taken_over_several_pages() {
    let fake = FakeTwilio::start().await;
    let sender = sms(&fake);
    let since = Timestamp::from_unix_seconds(1_795_000_000);
    assert_eq!(sender.look_up(&message("one"), since).await, LookUp::NotFound);
    for text in ["one", "two", "three", "four", "five"] {
        sender.send(&message(text)).await;
    }
    let LookUp::Found(found) = sender.look_up(&message("one"), since).await else { panic!() };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].report.external_id, format!("SM{:032x}", 0));
    assert_eq!(found[0].report.status, Some(DeliveryStatus::Queued));
    assert_eq!(sender.look_up(&message("six"), since).await, LookUp::NotFound);
    let mut elsewhere = message("one");
    elsewhere.to = "+966509999999".to_owned();
    assert_eq!(sender.look_up(&elsewhere, since).await, LookUp::NotFound);
}

#[tokio::test]
async fn takes_nothing_for_ours_that_is_not() {
    let fake = FakeTwilio::start().await;
    let sender = sms(&fake);
    let like = json!({
        "sid": "SM1", "status": "sent", "direction": "outbound-api", "from": "+14155550100", "to": "+966501234567",
        "body": "hi", "num_media": "0", "date_created": "Sun, 22 Nov 2026 09:30:00 +0000",
    });
    for (field, value) in [("direction", "inbound"), ("body", "ho"), ("num_media", "1"), ("from", "+1")] {
        let mut other = like.clone();
        other[field] = json!(value);
        fake.add_taken(other);
    }
    let before: Timestamp = "2026-11-22T09:30:30Z".parse().unwrap();
    assert_eq!(sender.look_up(&message("hi"), before).await, LookUp::NotFound);
    fake.add_taken(like);
    assert!(matches!(sender.look_up(&message("hi"), before).await, LookUp::Found(_)), "clocks may differ a little");
    let later: Timestamp = "2026-11-22T10:30:00Z".parse().unwrap();
    assert_eq!(sender.look_up(&message("hi"), later).await, LookUp::NotFound);
    fake.refuse_look_ups(1);
    assert!(matches!(sender.look_up(&message("hi"), before).await, LookUp::Unknown { reached: false, .. }));
}

#[test]
fn shows_no_secret() {
    let record = channel(Medium::Sms, "+14155550100", "http://127.0.0.1:1");
    let shown = format!("{:?}", sender(&record));
    for secret in ["token-a", SID, "+14155550100"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
