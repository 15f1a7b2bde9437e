//! The simulator's requests: Twilio's Messages resource, and the switches under `/simulator`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::{Fault, FaultRule, describe};
use super::http::{Handler, Reply, Request, Response};
use super::{InboundOrder, Inner, callbacks, picture};
use crate::twilio::{Params, decode_form, param};

/// The most characters of a message's text (error 21617).
const MAX_BODY_CHARS: usize = 1_600;
/// The most messages whose life is being followed at once; above, the queue is full (error 21611).
const MAX_IN_FLIGHT: usize = 50_000;
const LISTED_MESSAGES: usize = 1_000;
const LONGEST_OUTAGE: Duration = Duration::from_mins(10);
const SLOWEST_ANSWER: Duration = Duration::from_mins(2);

impl Handler for Arc<Inner> {
    async fn handle(&self, request: Request) -> Reply {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            // Twilio serves media without credentials unless the account asks for them.
            ["2010-04-01", "Accounts", _, "Messages", _, "Media", file] if request.method == "GET" => {
                let seed = file.bytes().fold(7_u128, |hash, byte| hash.wrapping_mul(31) ^ u128::from(byte));
                Reply::Respond(Response { content_type: "image/png", body: picture::png(seed), ..Response::empty(200) })
            }
            ["2010-04-01", "Accounts", account_sid, rest @ ..] => {
                if !self.is_authorised(account_sid, &request) {
                    return Reply::Respond(refusal(401, 20_003));
                }
                match (request.method.as_str(), rest) {
                    ("POST", ["Messages.json"]) => self.create(account_sid, &decode_form(&request.body)).await,
                    ("GET", ["Messages.json"]) => {
                        Reply::Respond(Response::json(200, &self.store().list(account_sid, &request.query)))
                    }
                    (method, ["Messages", file]) => {
                        Reply::Respond(self.one(method, file.trim_end_matches(".json"), &decode_form(&request.body)))
                    }
                    ("GET", ["Messages", message, "Media.json"]) => Reply::Respond(self.media_list(message)),
                    _ => Reply::Respond(refusal(404, 20_404)),
                }
            }
            ["simulator", switch] => Reply::Respond(self.switch(switch, &request).await),
            _ => Reply::Respond(refusal(404, 20_404)),
        }
    }
}

impl Inner {
    fn is_authorised(&self, account_sid: &str, request: &Request) -> bool {
        let Some(token) = self.store().accounts.get(account_sid).cloned() else { return false };
        request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .is_some_and(|decoded| decoded == format!("{account_sid}:{token}").into_bytes())
    }

    async fn create(self: &Arc<Self>, account_sid: &str, params: &Params) -> Reply {
        self.store().stats.create_calls += 1;
        if let Some(code) = fault_of_params(params) {
            return Reply::Respond(refusal(400, code));
        }
        if self.tasks.len() >= MAX_IN_FLIGHT {
            return Reply::Respond(refusal(429, 21_611));
        }
        let (to, body) = (param(params, "To").unwrap_or_default(), param(params, "Body").unwrap_or_default());
        let fault = self.store().faults.strike(to, body, || self.chance());
        if let Some(fault) = &fault {
            self.store().stats.faults += 1;
            match fault {
                Fault::RateLimited { retry_after_seconds } => {
                    let mut response = refusal(429, 20_429);
                    response.headers.push(("retry-after", retry_after_seconds.to_string()));
                    return Reply::Respond(response);
                }
                Fault::Unavailable => return Reply::Respond(refusal(503, 20_503)),
                Fault::DropBeforeAccepting => return Reply::Drop,
                Fault::Reject { code } => return Reply::Respond(refusal(400, *code)),
                _ => {}
            }
        }
        let number = self.number();
        let message = self.store().take(account_sid, params, number);
        let answer = Response::json(201, &message.to_json());
        // Nobody may be listening.
        let _listeners = self.taken.send(message.clone());
        self.tasks.spawn(callbacks::follow(Arc::clone(self), message, fault.clone()));
        match fault {
            Some(Fault::ErrorAfterAccepting) => Reply::Respond(refusal(500, 20_500)),
            Some(Fault::DropAfterAccepting) => Reply::Drop,
            Some(Fault::Slow { delay_milliseconds }) => {
                tokio::time::sleep(Duration::from_millis(delay_milliseconds).min(SLOWEST_ANSWER)).await;
                Reply::Respond(answer)
            }
            _ => Reply::Respond(answer),
        }
    }

    fn one(&self, method: &str, sid: &str, params: &Params) -> Response {
        let mut store = self.store();
        let Some(message) = store.get_mut(sid) else { return refusal(404, 20_404) };
        match method {
            "GET" => Response::json(200, &message.to_json()),
            "POST" => {
                if param(params, "Status") == Some("canceled") {
                    message.status = "canceled";
                }
                if param(params, "Body") == Some("") {
                    message.body.clear();
                }
                Response::json(200, &message.to_json())
            }
            "DELETE" => {
                // The row stays, so that the order of SIDs holds; what Twilio promises is that its content is gone.
                message.body.clear();
                message.media_urls.clear();
                Response::empty(204)
            }
            _ => refusal(405, 20_404),
        }
    }

    fn media_list(&self, sid: &str) -> Response {
        let mut store = self.store();
        let Some(message) = store.get_mut(sid) else { return refusal(404, 20_404) };
        let list: Vec<Value> = message
            .media_urls
            .iter()
            .map(|url| json!({ "content_type": "image/png", "parent_sid": sid, "uri": url }))
            .collect();
        Response::json(200, &json!({ "media_list": list, "page": 0, "page_size": 50 }))
    }

    async fn switch(&self, switch: &str, request: &Request) -> Response {
        match (request.method.as_str(), switch) {
            ("GET", "faults") => Response::json(200, &json!(self.store().faults.rules())),
            ("POST", "faults") => match serde_json::from_slice::<FaultRule>(&request.body) {
                Ok(rule) => {
                    self.store().faults.add(rule);
                    Response::empty(204)
                }
                Err(error) => bad_order(&error),
            },
            ("DELETE", "faults") => {
                self.store().faults.clear();
                Response::empty(204)
            }
            ("POST", "outage") => match serde_json::from_slice::<OutageOrder>(&request.body) {
                Ok(order) => {
                    self.outage.send_replace(Duration::from_millis(order.milliseconds).min(LONGEST_OUTAGE));
                    Response::empty(204)
                }
                Err(error) => bad_order(&error),
            },
            ("POST", "inbound") => match serde_json::from_slice::<InboundOrder>(&request.body) {
                Ok(order) => match self.post_order(&order).await {
                    Ok(status) => Response::json(200, &json!({ "hub_status": status })),
                    Err(error) => Response::json(502, &json!({ "detail": format!("{error:#}") })),
                },
                Err(error) => bad_order(&error),
            },
            ("GET", "stats") => Response::json(200, &json!(self.store().stats)),
            ("GET", "messages") => {
                let store = self.store();
                let newest: Vec<_> = store.messages().rev().take(LISTED_MESSAGES).collect();
                Response::json(200, &json!(newest))
            }
            _ => refusal(404, 20_404),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageOrder {
    milliseconds: u64,
}

fn bad_order(error: &serde_json::Error) -> Response {
    Response::json(400, &json!({ "detail": error.to_string() }))
}

/// The error of a message that Twilio would not take, whoever sends it.
fn fault_of_params(params: &Params) -> Option<u32> {
    let given = |name: &str| param(params, name).is_some_and(|value| !value.is_empty());
    let to = param(params, "To").unwrap_or_default();
    let number = to.strip_prefix("whatsapp:").unwrap_or(to);
    let is_number = number
        .strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
    if !given("To") {
        Some(21_604)
    } else if !is_number {
        Some(21_211)
    } else if !given("From") && !given("MessagingServiceSid") {
        Some(21_603)
    } else if !given("Body") && !given("MediaUrl") && !given("ContentSid") {
        Some(21_602)
    } else if param(params, "Body").is_some_and(|body| body.chars().count() > MAX_BODY_CHARS) {
        Some(21_617)
    } else {
        None
    }
}

/// An error as Twilio writes it.
fn refusal(status: u16, code: u32) -> Response {
    Response::json(
        status,
        &json!({
            "code": code,
            "message": describe(code),
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
            "status": status,
        }),
    )
}
