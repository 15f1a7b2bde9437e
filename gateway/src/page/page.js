// The built-in page: signs in, lists open conversations, and follows them over the socket. Tokens stay in memory only.
"use strict";

const byId = (id) => document.getElementById(id);
const api = "/api/v1";
let tokens = null;
let refreshing = null;
let socket = null;
let attempt = 0;
let cursor = null;
let last = null;
let counted = 0;
let chosen = null;
const conversations = new Map();

function say(text) { byId("state").textContent = text; }

async function call(method, path, body, key) {
  const send = () => fetch(api + path, {
    method,
    headers: {
      ...(tokens ? { Authorization: "Bearer " + tokens.access_token } : {}),
      ...(body ? { "Content-Type": "application/json" } : {}),
      ...(key ? { "Idempotency-Key": key } : {}),
    },
    body: body ? JSON.stringify(body) : undefined,
  });
  let answer = await send();
  if (answer.status === 401 && tokens && path !== "/auth/refresh" && await refresh()) answer = await send();
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(value && value.detail ? value.detail : "HTTP " + answer.status);
  return value;
}

function refresh() {
  if (!refreshing) {
    refreshing = call("POST", "/auth/refresh", { refresh_token: tokens.refresh_token })
      .then((fresh) => { tokens = fresh; return true; })
      .catch(() => { signedOut("The sign-in has ended: sign in again"); return false; })
      .finally(() => { refreshing = null; });
  }
  return refreshing;
}

function signedOut(text) {
  tokens = null;
  cursor = null;
  last = null;
  if (socket) socket.close();
  conversations.clear();
  chosen = null;
  byId("desk").hidden = true;
  byId("board").hidden = true;
  latest = null;
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("list").replaceChildren();
  byId("messages").replaceChildren();
  byId("reply").hidden = true;
  say(text);
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("sign-in-error").textContent = "";
  try {
    tokens = await call("POST", "/auth/sign-in", { email: byId("email").value, password: byId("password").value });
  } catch (error) {
    byId("sign-in-error").textContent = error.message;
    return;
  }
  byId("password").value = "";
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = false;
  byId("desk").hidden = false;
  const seesAll = ["owner", "admin", "manager"].includes(tokens.me.role);
  byId("assignee").options[0].disabled = !seesAll;
  byId("assignee").value = seesAll ? "all" : "none";
  connect();
});

byId("sign-out").addEventListener("click", async () => {
  const ending = tokens;
  signedOut("Signed out");
  await fetch(api + "/auth/sign-out", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ refresh_token: ending.refresh_token }),
  });
});

byId("assignee").addEventListener("change", () => load().catch((error) => say(error.message)));

async function load() {
  const page = await call("GET", "/conversations?status=open&limit=50&assignee=" + byId("assignee").value);
  conversations.clear();
  for (const conversation of page.items) conversations.set(conversation.id, conversation);
  draw();
  if (chosen) await show(chosen);
}

function shown(conversation) {
  if (conversation.status !== "open") return false;
  const filter = byId("assignee").value;
  if (filter === "none") return !conversation.assignee;
  if (filter === "me") return conversation.assignee === tokens.me.user_id;
  return true;
}

function draw(fresh) {
  const sorted = [...conversations.values()].filter(shown)
    .sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at)).slice(0, 100);
  byId("empty").hidden = sorted.length > 0;
  byId("list").replaceChildren(...sorted.map((conversation) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-current", String(conversation.id === chosen));
    if (conversation.id === fresh) button.className = "new";
    const unread = conversation.inbound_count - ((conversation.reads || {})[tokens.me.user_id] || 0);
    if (unread > 0) button.append(element("span", String(unread), "badge"));
    button.append(
      element("span", conversation.contact_name, "who"),
      element("span", conversation.last_message ? conversation.last_message.preview : "", "preview"),
      element("span", new Date(conversation.last_activity_at).toLocaleTimeString(), "when"),
    );
    button.addEventListener("click", () => show(conversation.id).catch((error) => say(error.message)));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  made.dir = "auto";
  if (className) made.className = className;
  return made;
}

async function show(id) {
  chosen = id;
  const page = await call("GET", `/conversations/${id}/messages?limit=100`);
  if (chosen !== id) return;
  byId("messages").replaceChildren(...page.items.reverse().map(line));
  byId("messages").scrollTop = byId("messages").scrollHeight;
  const conversation = conversations.get(id);
  byId("talk-title").textContent = conversation ? conversation.contact_name : "Conversation";
  byId("reply").hidden = tokens.me.role === "analyst";
  draw();
  const newest = page.items.at(-1);
  if (newest && conversation) await call("POST", `/conversations/${id}/read`, { seq: newest.seq });
}

function line(message) {
  const item = element("li", message.body.text || (message.body.location ? "📍" : "📎"), message.direction);
  item.dataset.seq = message.seq;
  const status = message.status ? " · " + message.status + (message.error ? ": " + message.error.reason : "") : "";
  item.append(element("small", new Date(message.created_at).toLocaleTimeString() + status));
  return item;
}

byId("reply").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("reply-error").textContent = "";
  try {
    const body = { body: { text: byId("text").value } };
    await call("POST", `/conversations/${chosen}/messages`, body, crypto.randomUUID());
    byId("text").value = "";
  } catch (error) {
    byId("reply-error").textContent = error.message;
  }
});

byId("resolve").addEventListener("click", async () => {
  byId("reply-error").textContent = "";
  try {
    await call("PATCH", `/conversations/${chosen}`, { status: "resolved" });
  } catch (error) {
    byId("reply-error").textContent = error.message;
  }
});

function connect() {
  const opened = new WebSocket(location.origin.replace(/^http/, "ws") + api + "/socket", ["saler.v1"]);
  socket = opened;
  counted = 0;
  opened.onmessage = (event) => {
    for (const text of event.data.split("\n")) if (text) take(JSON.parse(text), opened);
  };
  opened.onclose = (event) => {
    if (socket !== opened || !tokens) return;
    if (event.code >= 4100 && event.code < 4200) { cursor = null; last = null; }
    if (event.code >= 4400 && event.code !== 4401) { say("The hub closed the connection: " + event.code); return; }
    const wait = Math.random() * Math.min(20000, 500 * 2 ** attempt);
    attempt += 1;
    say("Reconnecting …");
    setTimeout(async () => {
      if (!tokens) return;
      if (event.code === 4401 && !await refresh()) return;
      connect();
    }, wait);
  };
}

function take(frame, from) {
  const send = (value) => from.send(JSON.stringify(value));
  switch (frame.op) {
    case "hello":
      send({
        op: "auth", id: 1, token: tokens.access_token, subs: ["inbox", "kpis"], caps: ["batch"],
        ...(cursor ? { resume: { cur: cursor, ...(last ? { p: last } : {}) } } : {}),
      });
      break;
    case "ready":
      attempt = 0;
      cursor = frame.cur;
      last = null;
      say(`${tokens.me.name} · ${tokens.me.role} · live`);
      if (!frame.resumed) load().catch((error) => say(error.message));
      break;
    case "ev":
      counted += 1;
      last = frame.p;
      happened(frame.d);
      break;
    case "gone":
      counted += 1;
      last = frame.p;
      conversations.delete(frame.conversation_id);
      draw();
      break;
    case "resumed":
      cursor = frame.cur;
      last = null;
      break;
    case "hb":
      if (frame.n !== counted) { load().catch((error) => say(error.message)); counted = frame.n; }
      if (frame.cur) { cursor = frame.cur; last = null; }
      send({ op: "hb", n: counted });
      break;
    case "kpi":
      board(frame.d);
      break;
    case "expiring":
      refresh().then((good) => { if (good) send({ op: "auth", id: 2, token: tokens.access_token }); });
      break;
    case "gap":
      load().catch((error) => say(error.message));
      break;
    default:
  }
}

const tiles = [
  ["open", "Open"], ["unassigned", "Unassigned"], ["waiting", "Waiting"], ["oldest_wait_seconds", "Oldest wait"],
  ["messages_in", "In, 24 h"], ["messages_out", "Out, 24 h"], ["first_response_p50", "First response, median"],
  ["resolved", "Resolved, 24 h"],
];

function figure(value) {
  // A wait that goes on is told by its beginning; how long it is by now is for the page to say.
  const number = value.since ? Math.max(0, (Date.now() - Date.parse(value.since)) / 1000) : value.value;
  if (number === undefined || number === null) return "–";
  if (value.unit !== "seconds") return String(number);
  const seconds = Math.round(number);
  if (seconds < 60) return seconds + " s";
  return seconds < 3600 ? Math.floor(seconds / 60) + " min" : Math.floor(seconds / 3600) + " h";
}

let latest = null;
setInterval(() => { if (latest && tokens) board(latest); }, 1000);

// The whole workspace's numbers; those of one channel or agent are left to the API.
function board(numbers) {
  latest = numbers;
  const whole = numbers.values.filter((value) => !value.channel_id && !value.agent_id);
  byId("board").hidden = false;
  byId("board").replaceChildren(...tiles.flatMap(([kpi, name]) => {
    const value = whole.find((candidate) => candidate.kpi === kpi);
    if (!value) return [];
    const tile = document.createElement("div");
    tile.append(element("dt", name), element("dd", figure(value)));
    return [tile];
  }));
}

function happened(record) {
  if (record.conversation) {
    conversations.set(record.conversation.id, record.conversation);
    draw(record.event.type === "message_added" ? record.conversation.id : undefined);
  }
  if (!record.conversation || record.conversation.id !== chosen) return;
  const messages = byId("messages");
  if (record.event.type === "message_added") {
    messages.append(line(record.event.message));
    messages.scrollTop = messages.scrollHeight;
  } else if (record.event.type === "message_status_changed") {
    const item = messages.querySelector(`li[data-seq="${Number(record.event.seq)}"] small`);
    if (item) item.textContent = record.event.to + (record.event.error ? ": " + record.event.error.reason : "");
  }
}
