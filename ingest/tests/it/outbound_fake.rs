//! A provider that speaks Twilio's Messages resource over real HTTP on loopback, and misbehaves as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What to do with the next POST.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Take the message and say so.
    Accept,
    /// Do not take it; answer with this status, these extra header lines, this error code.
    Refuse { status: u16, headers: &'static str, code: u32 },
    /// Take it or not, and answer 500.
    Fail { taken: bool },
    /// Take it or not, and close without an answer.
    HangUp { taken: bool },
    /// Take it or not, and never answer.
    Hang { taken: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) params: Vec<(String, String)>,
}

impl Post {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    acts: VecDeque<Act>,
    posts: Vec<Post>,
    /// Messages that were taken, oldest first.
    taken: Vec<Value>,
    look_ups: usize,
    refuse_look_ups: usize,
}

#[derive(Debug)]
pub(crate) struct FakeTwilio {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl FakeTwilio {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (notify, changed) = watch::channel(0);
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            let notify = Arc::new(notify);
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&notify)));
            }
        });
        Self { address, state, changed, _server: server }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What to do with the next POSTs; after them it accepts.
    pub(crate) fn plan(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// Answers the next look-ups with 503.
    pub(crate) fn refuse_look_ups(&self, count: usize) {
        self.state().refuse_look_ups = count;
    }

    /// Adds a message to the list that was not sent through this hub's worker.
    pub(crate) fn add_taken(&self, message: Value) {
        self.state().taken.push(message);
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.state().posts.clone()
    }

    pub(crate) fn look_ups(&self) -> usize {
        self.state().look_ups
    }

    /// The texts that were taken, in order.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.state().taken.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until there were this many POSTs.
    pub(crate) async fn wait_for_posts(&self, count: usize) {
        let mut changed = self.changed.clone();
        changed.wait_for(|posts| *posts >= count).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, notify: Arc<watch::Sender<usize>>) {
    let Some((head, body)) = read_request(&mut stream).await else { return };
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if method == "GET" {
        let answer = list(&mut state.lock().unwrap(), path, query);
        return respond(&mut stream, answer.0, "", &answer.1).await;
    }
    let authorization =
        head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default().to_owned();
    let params: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let post = Post { path: path.to_owned(), authorization, params };
    let (act, message) = {
        let mut state = state.lock().unwrap();
        let act = state.acts.pop_front().unwrap_or(Act::Accept);
        let message = resource(&post, state.posts.len());
        let takes = matches!(
            act,
            Act::Accept | Act::Fail { taken: true } | Act::HangUp { taken: true } | Act::Hang { taken: true }
        );
        if takes {
            state.taken.push(message.clone());
        }
        state.posts.push(post);
        (act, message)
    };
    notify.send_modify(|posts| *posts += 1);
    match act {
        Act::Accept => respond(&mut stream, 201, "", &message).await,
        Act::Refuse { status, headers, code } => {
            let error = json!({"code": code, "message": "refused", "more_info": "", "status": status});
            respond(&mut stream, status, headers, &error).await;
        }
        Act::Fail { .. } => respond(&mut stream, 500, "", &json!({"code": 20500, "message": "x", "status": 500})).await,
        Act::HangUp { .. } => {}
        Act::Hang { .. } => {
            let mut rest = Vec::new();
            let _closed = stream.read_to_end(&mut rest).await;
        }
    }
}

fn resource(post: &Post, number: usize) -> Value {
    json!({
        "sid": format!("SM{number:032x}"),
        "status": "queued",
        "error_code": null,
        "error_message": null,
        "direction": "outbound-api",
        "from": post.param("From"),
        "to": post.param("To"),
        "body": post.param("Body").unwrap_or_default(),
        "num_media": post.params.iter().filter(|(name, _)| name == "MediaUrl").count().to_string(),
        "date_created": "Thu, 01 Jan 2099 00:00:00 +0000",
        "date_sent": null,
        "messaging_service_sid": post.param("MessagingServiceSid"),
    })
}

/// Two messages a page, newest first.
fn list(state: &mut State, path: &str, query: &str) -> (u16, Value) {
    state.look_ups += 1;
    if state.refuse_look_ups > 0 {
        state.refuse_look_ups -= 1;
        return (503, json!({}));
    }
    let params: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let param = |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let page: usize = param("Page").map_or(0, |page| page.parse().unwrap());
    let found: Vec<&Value> = state
        .taken
        .iter()
        .rev()
        .filter(|message| param("To").is_none_or(|to| message["to"] == to))
        .filter(|message| param("From").is_none_or(|from| message["from"] == from))
        .collect();
    let messages: Vec<&Value> = found.iter().skip(page * 2).take(2).copied().collect();
    let next = (found.len() > (page + 1) * 2).then(|| {
        let filter = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params.iter().filter(|(name, _)| name != "Page"))
            .append_pair("Page", &(page + 1).to_string())
            .finish();
        format!("{path}?{filter}")
    });
    (200, json!({"messages": messages, "next_page_uri": next}))
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length: usize = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .map_or(0, |length| length.parse().unwrap());
            while bytes.len() < end + 4 + length {
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            }
            return Some((head, bytes[end + 4..].to_vec()));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &Value) {
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    let _gone = stream.write_all(answer.as_bytes()).await;
    let _closed = stream.shutdown().await;
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Fails a test that waits too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.unwrap_or_else(|_| panic!("took too long: {what}"))
}
