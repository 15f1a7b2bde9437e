"""Compares what programs read from the lake with what the hub's SQL says. Called by lake-clients.sh."""

import base64
import collections
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import chdb
import deltalake
import duckdb
import polars

ACCOUNT = "AC" + "1" * 32
SECRET = "0123456789abcdef0123456789abcdef"
NUMBER = "+15005550006"
ROUNDS, MESSAGES_OF_A_ROUND, CUSTOMERS = 10, 200, 40
PATIENCE_S = 120

# Of each table: what is compared, in SQL that all engines understand. `rows` are the rows that count.
QUERIES = {
    "messages": "count(*), sum(text_chars), count(distinct message_id), count(distinct conversation_id)",
    "sentiment": "count(*), count(distinct message_id), sum(case when sentiment = 'negative' then 1 else 0 end)",
    "conversations": "count(*), sum(messages_in), count(distinct contact_id)",
    "contacts": "count(*), count(distinct contact_id)",
    "conversation_facts": "count(*), count(distinct fact_id)",
    "kpi_minute": "sum(messages_in), sum(opened), count(distinct minute)",
}
THINGS = {"conversations": "conversation_id", "contacts": "contact_id"}


def newest(source, table):
    key = THINGS.get(table)
    if key is None:
        return f"select * from {source}"
    ranked = f"select *, row_number() over (partition by {key} order by version desc) as place from {source}"
    return f"select * from ({ranked}) as ranked where place = 1"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Hub:
    def __init__(self, program, data):
        self.program, self.data, self.process = program, data, None
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.environment = dict(os.environ, SALER_DATA__DIR=str(data), SALER_HTTP__LISTEN=self.address)
        workspace = self.call("workspace", "create", "--name", "Lake")
        self.workspace = workspace["id"]
        self.call(
            "user", "create", "--workspace", self.workspace, "--email", "a@lake.test", "--name", "A", "--role", "owner"
        )
        channel = self.call(
            *("channel", "create", "--workspace", self.workspace, "--name", "SMS", "--provider", "twilio"),
            *("--medium", "sms", "--address", NUMBER, "--account-sid", ACCOUNT, "--auth-token-stdin"),
            secret=SECRET,
        )
        self.webhook = channel["webhook_url"]
        token = self.call(
            *("token", "create", "--workspace", self.workspace, "--email", "a@lake.test", "--name", "x"),
            *("--role", "owner"),
        )
        self.token = token["secret"]

    def run(self, *arguments, secret=""):
        return subprocess.run(
            [self.program, *arguments], env=self.environment, input=secret, text=True, capture_output=True, check=False
        )

    def call(self, *arguments, secret=""):
        done = self.run(*arguments, secret=secret)
        if done.returncode != 0:
            sys.exit(f"saler {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def start(self):
        self.process = subprocess.Popen([self.program, "serve"], env=self.environment, stderr=subprocess.DEVNULL)
        wait(lambda: self.get("/readyz"), "the hub is not ready")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process = None

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path) as answer:
                return answer.status == 200
        except OSError:
            return False

    def receive(self, number):
        fields = {
            "MessageSid": f"SM{number:032x}",
            "AccountSid": ACCOUNT,
            "From": f"+1555{number % CUSTOMERS:07d}",
            "To": NUMBER,
            "Body": f"Message {number}: is it broken, or am I? شكرا {number}",
            "NumMedia": "0",
        }
        signed = self.webhook + "".join(key + fields[key] for key in sorted(fields))
        signature = base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        request = urllib.request.Request(
            self.webhook, urllib.parse.urlencode(fields).encode(), {"X-Twilio-Signature": signature}
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def sql(self, text):
        request = urllib.request.Request(
            self.url + "/api/v1/sql",
            json.dumps({"sql": text}).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["rows"]
        except urllib.error.HTTPError as error:
            sys.exit(f"{text}: {error.read().decode()}")


def wait(done, complaint):
    until = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > until:
            sys.exit(complaint)
        time.sleep(0.2)


def plain(row):
    return [int(value) for value in row]


def with_polars(folder, _files, table, query):
    frame = polars.scan_delta(str(folder))
    context = polars.SQLContext({table: frame})
    if table in THINGS:
        frame = frame.sort("version").group_by(THINGS[table]).last()
        context = polars.SQLContext({table: frame})
    return plain(context.execute(f"select {query} from {table}").collect().row(0))


def with_deltalake(folder, _files, table, query):
    builder = deltalake.QueryBuilder().register(table, deltalake.DeltaTable(str(folder)))
    rows = builder.execute(f"select {query} from ({newest(table, table)}) as rows_that_count").read_all()
    return plain(column[0].as_py() for column in rows.columns)


def with_clickhouse(folder, _files, table, query):
    source = f"deltaLakeLocal('{folder}')"
    rows = chdb.query(f"select {query} from ({newest(source, table)}) as rows_that_count", "JSONCompact")
    return plain(json.loads(rows.bytes())["data"][0])


def with_duckdb(_folder, files, table, query):
    source = f"read_parquet({files!r}, union_by_name = true)"
    rows = duckdb.sql(f"select {query} from ({newest(source, table)}) as rows_that_count").fetchall()
    return plain(rows[0])


READERS = {
    "polars": with_polars,
    "deltalake": with_deltalake,
    "ClickHouse": with_clickhouse,
    "DuckDB": with_duckdb,
}


def store_options(address):
    return {
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ALLOW_HTTP": "true",
    }


def start_store():
    """Starts an S3-compatible store with one bucket; returns its process and its address."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def made():
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{address}/lake", method="PUT")) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait(made, "the store does not answer")
    return server, address


def compare_copy(hub, expected, address):
    failures = []
    options = store_options(address)
    for table in ("messages", "conversation_facts", "kpi_minute"):
        folder = f"s3://lake/of/ours/workspace={hub.workspace}/{table}"
        query = QUERIES[table]
        context = polars.SQLContext({table: polars.scan_delta(folder, storage_options=options)})
        by_polars = plain(context.execute(f"select {query} from {table}").collect().row(0))
        delta = deltalake.DeltaTable(folder, storage_options=options)
        rows = deltalake.QueryBuilder().register(table, delta).execute(f"select {query} from {table}").read_all()
        by_deltalake = plain(column[0].as_py() for column in rows.columns)
        for name, found in (("polars", by_polars), ("deltalake", by_deltalake)):
            if found != expected[table]:
                failures.append(f"copy: {name} on {table}: {found}, the hub's SQL says {expected[table]}")
    print("copy in a store: 3 tables, 2 readers")
    return failures


def compare(hub, expected, moment):
    tables = {table["table"]: table for table in hub.call("lake", "list", "--workspace", hub.workspace)}
    failures = []
    for table, query in QUERIES.items():
        for name, reader in READERS.items():
            try:
                found = reader(tables[table]["folder"], tables[table]["files"], table, query)
            except Exception as error:  # noqa: BLE001: whatever a reader throws is what this is about
                found = f"{type(error).__name__}: {error}"
            if found != expected[table]:
                failures.append(f"{moment}: {name} on {table}: {found}, the hub's SQL says {expected[table]}")
    # Types and instants arrive as they are declared.
    frame = polars.scan_delta(str(tables["messages"]["folder"])).select("created_at", "labels").collect()
    if frame.schema["created_at"] != polars.Datetime("us", "UTC") or frame.schema["labels"] != polars.List(polars.String):
        failures.append(f"{moment}: polars sees other types: {frame.schema}")
    last = frame["created_at"].max()
    if abs(datetime.datetime.now(datetime.timezone.utc) - last) > datetime.timedelta(hours=1):
        failures.append(f"{moment}: polars sees the last message at {last}")
    history = deltalake.DeltaTable(str(tables["messages"]["folder"])).history()
    operations = collections.Counter(commit["operation"] for commit in history)
    files, version = len(tables["messages"]["files"]), tables["messages"]["delta_version"]
    print(f"{moment}: {len(QUERIES)} tables, {len(READERS)} readers, messages at version {version}: {dict(operations)}, {files} files")
    return failures


def main():
    hub = Hub(sys.argv[1], pathlib.Path(sys.argv[2]))
    # ClickHouse reads no files outside of its working folder.
    os.chdir(hub.data)
    store, address = start_store()
    hub.environment |= {
        "SALER_LAKE__URL": "s3://lake/of/ours",
        "SALER_LAKE__ENDPOINT": f"http://{address}",
        "SALER_LAKE__ACCESS_KEY_ID": "id",
        "SALER_LAKE__SECRET_ACCESS_KEY": "secret",
    }
    failures, number = [], 0
    try:
        for turn in range(ROUNDS):
            hub.start()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(hub.receive, range(number, number + MESSAGES_OF_A_ROUND)))
            number += MESSAGES_OF_A_ROUND
            wait(lambda: hub.sql("select count(*) from messages")[0][0] == number, "not all messages are counted")
            expected = {table: plain(hub.sql(f"select {query} from {table}")[0]) for table, query in QUERIES.items()}
            # A stopping hub writes and publishes all it has.
            hub.stop()
            if turn in (0, ROUNDS - 1):
                failures += compare(hub, expected, f"after {turn + 1} rounds")
        failures += compare_copy(hub, expected, address)
        verified = hub.run("lake", "verify")
        if verified.returncode != 0:
            failures.append(f"saler lake verify: {verified.stdout} {verified.stderr}")
        hub.call("lake", "rebuild")
        failures += compare(hub, expected, "rebuilt")
        hub.start()
        again = {table: plain(hub.sql(f"select {query} from {table}")[0]) for table, query in QUERIES.items()}
        if again != expected:
            failures.append(f"rebuilt: the hub's SQL says {again}, before it said {expected}")
    finally:
        if hub.process:
            hub.stop()
        store.terminate()
        store.wait(PATIENCE_S)
    print("\n".join(failures) if failures else "all agree")
    sys.exit(bool(failures))


main()
