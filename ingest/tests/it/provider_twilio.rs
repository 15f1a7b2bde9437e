//! Twilio's webhooks: every documented signature vector and sample, and properties of both doors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ingest::provider::describe::{InputError, parse_body, verify_request};
use ingest::provider::{Inbound, ProviderModule as _, Refusal, WebhookRequest, module, twilio::Twilio};
use proptest::prelude::*;
use schemas::Timestamp;
use schemas::command::Remedy;
use schemas::message::DeliveryStatus;
use serde_json::{Value, json};
use sha1::Sha1;

const FORM: &str = "application/x-www-form-urlencoded";
const URL: &str = "https://hub.example/webhooks/twilio/1";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/twilio/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn fixture_json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn sign(token: &str, signed: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(signed);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Verifies a form post with this signature.
fn verify(secrets: &[&str], signatures: &[&str], body: &[u8]) -> Result<(), Refusal> {
    let mut headers = vec![("content-type", FORM)];
    headers.extend(signatures.iter().map(|signature| ("x-twilio-signature", *signature)));
    let request =
        WebhookRequest { method: "POST", url: URL, headers: &headers, body, secrets, now: NOW, tolerance_s: 300 };
    Twilio.verify(&request)
}

#[test]
fn every_signature_vector_gets_its_verdict() {
    let file = fixture_json("vectors.json");
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 31);
    for vector in vectors {
        let report = verify_request("twilio", &vector.to_string(), NOW).unwrap();
        assert_eq!(report.is_valid(), vector["valid"].as_bool().unwrap(), "{}: {report:?}", vector["id"]);
    }
}

/// Headers as pairs or arrays, the body as text, and a secret that is being replaced: the same verdict.
#[test]
fn a_request_may_be_written_in_several_ways() {
    let file = fixture_json("vectors.json");
    for vector in file["vectors"].as_array().unwrap() {
        let headers = vector["headers"].as_object().unwrap();
        let mut pairs = vector.clone();
        pairs["headers"] = headers.iter().map(|(name, value)| json!([name, value])).collect();
        let mut arrays = vector.clone();
        arrays["headers"] = headers
            .iter()
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let mut text = vector.clone();
        text.as_object_mut().unwrap().remove("body_base64");
        let mut rotated = vector.clone();
        rotated["secrets"].as_array_mut().unwrap().insert(0, json!("the next token"));
        for request in [pairs, arrays, text, rotated] {
            let report = verify_request("twilio", &request.to_string(), NOW).unwrap();
            assert_eq!(report.is_valid(), vector["valid"].as_bool().unwrap(), "{request}");
        }
    }
}

#[test]
fn a_request_that_cannot_be_judged_is_an_error_that_says_why() {
    let unknown = verify_request("nobody", "{}", NOW).unwrap_err();
    assert!(matches!(unknown, InputError::UnknownProvider { .. }));
    assert!(unknown.to_string().contains("twilio"), "{unknown}");
    let missing = verify_request("twilio", r#"{"secrets": []}"#, NOW).unwrap_err().to_string();
    assert!(missing.contains("method"), "{missing}");
    let request = json!({"secrets": ["x"], "method": "POST", "url": URL, "body_base64": "*"});
    assert!(verify_request("twilio", &request.to_string(), NOW).unwrap_err().to_string().contains("body_base64"));
    let request = json!({"secrets": ["x"], "method": "POST", "url": URL, "headers": {"a": 1}});
    assert!(verify_request("twilio", &request.to_string(), NOW).unwrap_err().to_string().contains("headers.a"));
}

#[test]
fn no_secret_is_never_nothing_to_check() {
    let signature = sign("", URL.as_bytes());
    assert_eq!(verify(&[], &[&signature], b""), Err(Refusal::NoSecret));
    assert_eq!(verify(&[""], &[&signature], b""), Err(Refusal::NoSecret));
}

#[test]
fn refuses_every_way_of_not_quite_signing() {
    let good = sign("token", format!("{URL}Bodyhi").as_bytes());
    let body = b"Body=hi";
    assert_eq!(verify(&["token"], &[&good], body), Ok(()));
    assert_eq!(verify(&["other", "token"], &[&good], body), Ok(()));
    assert!(matches!(verify(&["token"], &[], body), Err(Refusal::MissingSignature { .. })));
    assert!(matches!(verify(&["token"], &[""], body), Err(Refusal::MissingSignature { .. })));
    assert!(matches!(verify(&["token"], &[&good, &good], body), Err(Refusal::MissingSignature { .. })));
    let unpadded = good.trim_end_matches('=');
    let longer = STANDARD.encode([STANDARD.decode(&good).unwrap(), vec![0]].concat());
    let spaced = format!(" {good}");
    for malformed in [unpadded, "=", "sha1=", &longer, &spaced, "AAAA"] {
        assert!(
            matches!(verify(&["token"], &[malformed], body), Err(Refusal::MalformedSignature { .. })),
            "{malformed}"
        );
    }
    assert_eq!(verify(&["other"], &[&good], body), Err(Refusal::Mismatch));
    assert_eq!(verify(&["token"], &[&good], b"Body=hi&x="), Err(Refusal::Mismatch));
}

/// A value that is not UTF-8 is signed as the bytes that it is.
#[test]
fn values_are_bytes() {
    let signed = [URL.as_bytes(), b"Body", b"\xff\xfe caf\xe9"].concat();
    assert_eq!(verify(&["token"], &[&sign("token", &signed)], b"Body=%FF%FE+caf%E9"), Ok(()));
}

#[test]
fn a_get_with_a_body_is_not_bound() {
    let signature = sign("token", URL.as_bytes());
    let headers = [("X-Twilio-Signature", signature.as_str())];
    let secrets = ["token"];
    let mut request = WebhookRequest {
        method: "GET",
        url: URL,
        headers: &headers,
        body: b"",
        secrets: &secrets,
        now: NOW,
        tolerance_s: 300,
    };
    assert_eq!(Twilio.verify(&request), Ok(()));
    request.body = b"Body=hi";
    assert!(matches!(Twilio.verify(&request), Err(Refusal::BodyNotBound { .. })));
}

#[test]
fn every_sample_says_what_its_index_says() {
    let index = fixture_json("index.json");
    for sample in index["payloads"].as_array().unwrap() {
        let file = sample["file"].as_str().unwrap();
        let report = parse_body("twilio", sample["content_type"].as_str().unwrap(), &fixture(file)).unwrap();
        let (expected, results) = (sample["expect"].as_array().unwrap(), report.results.as_array().unwrap());
        assert_eq!(results.len(), expected.len(), "{file}: {report:?}");
        assert_eq!(report.unreadable.is_some(), expected.is_empty(), "{file}: {report:?}");
        for (result, expected) in results.iter().zip(expected) {
            for (key, value) in expected.as_object().unwrap() {
                if !(key == "text" && value.is_null()) {
                    assert_eq!(&result[key], value, "{file}: {key}");
                }
            }
            let beyond: Vec<_> = result.as_object().unwrap().keys().filter(|key| expected.get(key).is_none()).collect();
            assert!(beyond.is_empty(), "{file}: {beyond:?} are not expected");
        }
    }
}

fn message(body: &str) -> schemas::command::InboundMessage {
    let body = format!("MessageSid=SM1&SmsStatus=received&From=whatsapp%3A%2B5215512345678&To=%2B1415&{body}");
    match Twilio.parse(FORM, body.as_bytes()).unwrap().pop().unwrap() {
        Inbound::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_surrounds_a_whatsapp_message() {
    let read = message(
        "Body=&NumMedia=2&MediaUrl0=https%3A%2F%2Fx%2F0&MediaContentType0=image%2Fpng&MediaUrl1=https%3A%2F%2Fx%2F1\
         &ProfileName=Sara%00&WaId=525512345678&ExternalUserId=whatsapp%3AMX.42&OriginalRepliedMessageSid=SM0\
         &ButtonText=Yes&ButtonPayload=yes-1&InteractiveData=%7B%22a%22%3A1%7D&FlowData=%7Bbroken&ReferralCtwaClid=c1",
    );
    assert_eq!(read.from, "+5215512345678");
    assert_eq!(read.also_from, ["MX.42", "+525512345678"]);
    assert_eq!(read.phone.as_deref(), Some("+5215512345678"));
    assert_eq!(read.profile_name.as_deref(), Some("Sara"));
    assert_eq!(read.body.text, "Yes");
    assert_eq!(read.body.in_reply_to.as_deref(), Some("SM0"));
    let types: Vec<_> = read.body.attachments.iter().map(|file| file.content_type.as_str()).collect();
    assert_eq!(types, ["image/png", "application/octet-stream"]);
    let interactive: Value = serde_json::from_str(read.body.interactive.as_deref().unwrap()).unwrap();
    let expected = json!({
        "ButtonText": "Yes", "ButtonPayload": "yes-1", "InteractiveData": {"a": 1}, "FlowData": "{broken",
        "ReferralCtwaClid": "c1",
    });
    assert_eq!(interactive, expected);
    assert_eq!(message("Body=x&OptOutType=START").opt_out, Some(false));
    assert_eq!(message("Body=x&OptOutType=HELP").opt_out, None);
    assert_eq!(message("Body=x&Body=x").body.text, "x");
    assert_eq!(message("Body=x&Latitude=91&Longitude=0").body.location, None);
    assert_eq!(message("Body=x&Latitude=NaN&Longitude=0").body.location, None);
}

#[test]
fn a_reason_comes_with_every_failure_and_unknown_words_change_nothing() {
    let report = |body: &str| match Twilio.parse(FORM, body.as_bytes()).unwrap().pop().unwrap() {
        Inbound::Report(report) => report,
        other => panic!("{other:?}"),
    };
    let failed = report("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003");
    assert_eq!(failed.status, Some(DeliveryStatus::Failed));
    let error = failed.error.unwrap();
    assert!(error.code == "30003" && error.reason.contains("switched off"), "{error:?}");
    assert_eq!(failed.remedy, None);
    let remedy = |code: &str| report(&format!("MessageSid=SM1&MessageStatus=undelivered&ErrorCode={code}")).remedy;
    assert_eq!((remedy("30001"), remedy("30008")), (Some(Remedy::Resend), Some(Remedy::ResendOnce)));
    assert_eq!((remedy("21610"), remedy("x")), (Some(Remedy::OptOut), None));
    assert_eq!(report("MessageSid=SM1&MessageStatus=sent&ErrorCode=30001").remedy, None);
    assert_eq!(report("MessageSid=SM1&MessageStatus=failed").error.unwrap().code, "failed");
    assert_eq!(report("MessageSid=SM1&MessageStatus=sent&ErrorCode=0").error, None);
    let unknown = report("MessageSid=SM1&MessageStatus=teleported");
    assert_eq!((unknown.status, unknown.provider_status.as_str()), (None, "teleported"));
    for (word, status) in [
        ("accepted", DeliveryStatus::Queued),
        ("scheduled", DeliveryStatus::Queued),
        ("queued", DeliveryStatus::Queued),
        ("sending", DeliveryStatus::Queued),
        ("sent", DeliveryStatus::Sent),
        ("delivered", DeliveryStatus::Delivered),
        ("partially_delivered", DeliveryStatus::Delivered),
        ("read", DeliveryStatus::Read),
        ("canceled", DeliveryStatus::Failed),
    ] {
        assert_eq!(report(&format!("MessageSid=SM1&MessageStatus={word}")).status, Some(status), "{word}");
    }
}

#[test]
fn what_cannot_be_read_names_the_field() {
    for (body, field) in [
        ("", "empty"),
        ("MessageSid=SM1&SmsStatus=received&Body=x&From=%2B1", "To"),
        ("MessageSid=SM1&SmsStatus=received&Body=x&To=%2B1", "From"),
        ("MessageSid=SM1&SmsStatus=received&Body=x&To=%2B1&From=whatsapp%3A", "From"),
        ("SmsStatus=received&Body=x&To=%2B1&From=%2B2", "MessageSid"),
        ("MessageSid=SM1&SmsStatus=received&Body=x&Body=y&To=%2B1&From=%2B2", "Body"),
        ("MessageSid=SM1", "MessageStatus"),
        ("MessageSid=SM1&Body=x&To=1&From=2&NumMedia=1&MediaUrl0=file%3A%2F%2F%2Fetc%2Fpasswd", "MediaUrl0"),
    ] {
        let error = Twilio.parse(FORM, body.as_bytes()).unwrap_err();
        assert!(error.reason.contains(field), "{body}: {error}");
    }
    let error = Twilio.parse("application/json", b"{}").unwrap_err();
    assert!(error.reason.contains("application/json"), "{error}");
}

#[test]
fn names_its_account_and_what_it_answers() {
    let twilio = module("twilio").unwrap();
    assert_eq!(
        twilio.account(FORM, &fixture("twilio_sms_text.form")).as_deref(),
        Some("ACb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2")
    );
    assert_eq!(twilio.account(FORM, b"AccountSid=a&AccountSid=b"), None);
    assert_eq!(twilio.acknowledgement().content_type, "text/xml");
    assert!(module("carrier-pigeon").is_none());
}

/// The string that Twilio signs, made apart from the module under test.
fn signed_string(pairs: &[(String, String)]) -> Vec<u8> {
    let sorted: std::collections::BTreeSet<_> = pairs.iter().collect();
    let parameters = sorted.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    std::iter::once(URL).chain(parameters).collect::<String>().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn only_the_exact_signature_passes(
        pairs in prop::collection::vec(("[A-Za-z0-9]{1,12}", ".{0,30}"), 0..8),
        flipped in 0..160_usize,
    ) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let good = sign("token", &signed_string(&pairs));
        prop_assert_eq!(verify(&["token"], &[&good], body.as_bytes()), Ok(()));
        let mut bytes = STANDARD.decode(&good).unwrap();
        bytes[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert_eq!(verify(&["token"], &[&STANDARD.encode(bytes)], body.as_bytes()), Err(Refusal::Mismatch));
    }

    #[test]
    fn no_bytes_make_it_panic_or_pass(body: Vec<u8>, signature in ".{0,60}", url in ".{0,60}") {
        let headers = [("X-Twilio-Signature", signature.as_str()), ("Content-Type", FORM)];
        let request = WebhookRequest {
            method: "POST", url: &url, headers: &headers, body: &body, secrets: &["token"], now: NOW, tolerance_s: 300,
        };
        prop_assert!(Twilio.verify(&request).is_err());
    }

    #[test]
    fn any_bytes_can_be_parsed_without_a_panic(body: Vec<u8>) {
        let _read = Twilio.parse(FORM, &body);
        let _account = Twilio.account(FORM, &body);
    }

    /// Parameters of the right names with any values at all; U+0000 never gets through.
    #[test]
    fn any_values_can_be_parsed_without_a_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 12)) {
        let names = ["MessageSid", "From", "To", "Body", "NumMedia", "MediaUrl0", "Latitude", "Longitude", "SmsStatus",
            "InteractiveData", "ProfileName", "ErrorCode"];
        let body: Vec<u8> = names.iter().zip(&values).flat_map(|(name, value)| {
            let escaped: String = form_urlencoded::byte_serialize(value).collect();
            format!("{name}={escaped}&").into_bytes()
        }).collect();
        if let Ok(results) = Twilio.parse(FORM, &body) {
            for result in results {
                if let Inbound::Message(message) = result {
                    prop_assert!(!message.body.text.contains('\0') && !message.from.contains('\0'));
                }
            }
        }
    }
}
