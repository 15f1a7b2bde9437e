#!/usr/bin/env bash
# Real servers for the tests of the cluster engines: Apache Kafka (KRaft) and Apache Cassandra, on loopback.
#
#   deploy/test-servers.sh start [--brokers N] [--only kafka|cassandra] [--secured] [DIR]
#                                                  starts, waits until they answer, prints exports
#   deploy/test-servers.sh stop [DIR]              stops all of DIR by process id, and removes DIR
#   deploy/test-servers.sh status [DIR]            names each server, its process and whether it answers
#   deploy/test-servers.sh tools                   says what this machine lacks to start them; exits with 1 if something
#   deploy/test-servers.sh env [DIR]               prints the exports again
#   deploy/test-servers.sh start-one NAME [DIR]    starts a stopped or killed server over the data that it left
#   deploy/test-servers.sh stop-one NAME [DIR]     SIGTERM, then SIGKILL
#   deploy/test-servers.sh kill-one NAME [DIR]     SIGKILL, as a crash
#   deploy/test-servers.sh pause-one NAME [DIR]    SIGSTOP
#   deploy/test-servers.sh resume-one NAME [DIR]   SIGCONT
#   deploy/test-servers.sh wait-one NAME [DIR]     waits until it answers
#
# A server is named kafka-1 to kafka-9 or cassandra; DIR/NAME.pid holds its process id, DIR/NAME/ its data and log. Without
# DIR everything lies in ${TMPDIR:-/tmp}/saler-test-servers-<user>. `start` finds what already runs and leaves it alone; a
# server that does not run begins with an empty folder.
#
# `--secured`: clients need TLS and a password. Kafka takes SCRAM-SHA-512 of the user `saler`, on the ports ten above those
# without; Cassandra takes its own first user, `cassandra`. Both passwords are `test-password` and `cassandra`; the authority
# that signed their certificates is DIR/tls/ca.pem, and DIR/tls/other-ca.pem is one that signed nothing of theirs.
#
# Both servers come from their jars: Maven resolves them once into ${XDG_CACHE_HOME:-~/.cache}/saler-test-servers.
#
# Variables (of `start`; the other commands read what it wrote):
#   SALER_TEST_KAFKA_PORT=19092       the first broker's; the second takes the next one, and so on
#   SALER_TEST_KAFKA_CONTROLLER_PORT=19192
#   SALER_TEST_KAFKA_ADVERTISED=      where brokers are to be found, and
#   SALER_TEST_KAFKA_QUORUM=          their controllers, if that is elsewhere: ports of relays, with commas between
#   SALER_TEST_CQL_PORT=19042
#   SALER_TEST_CQL_STORAGE_PORT=17000
#   SALER_TEST_KAFKA_HEAP=320m  SALER_TEST_CQL_HEAP=640m
#   SALER_TEST_JVM=quick              quick: compile little, start fast; full: as a server that runs for long
#   SALER_TEST_WAIT_S=180             how long a server may take to answer
#   SALER_TEST_JAVA_HOME              a Java 17, if `java` is another one
set -euo pipefail
umask 077

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/saler-test-servers
marker=.saler-test-servers
stop_grace_s=20
probe_timeout_s=5
lock_wait_s=600
# Of the servers with --secured: made up, and of use on loopback only.
store_password=store-password
kafka_user=saler
kafka_password=test-password
secured_ports_above=10

usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p;}' "$self"; }
say() { echo "test-servers: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# --- what the machine must have -----------------------------------------------------------------------------------------

is_java_17() { [ -x "$1" ] && "$1" -version 2>&1 | grep -q 'version "17\.'; }

find_java() {
    local candidate
    for candidate in "${SALER_TEST_JAVA_HOME:-}/bin/java" "${JAVA_HOME:-}/bin/java" "$(command -v java || true)" \
        /usr/lib/jvm/*17*/bin/java; do
        if is_java_17 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    if command -v apt-get >/dev/null 2>&1; then
        fail "Java 17 is missing. Install it with:  sudo apt-get install -y openjdk-17-jre-headless"
    elif command -v dnf >/dev/null 2>&1; then
        fail "Java 17 is missing. Install it with:  sudo dnf install -y java-17-openjdk-headless"
    fi
    fail "Java 17 is missing: install it, or name its folder in SALER_TEST_JAVA_HOME."
}

need_maven() {
    command -v mvn >/dev/null 2>&1 && return
    if command -v dnf >/dev/null 2>&1; then
        fail "Maven is missing. Install it with:  sudo dnf install -y maven"
    fi
    fail "Maven is missing. Install it with:  sudo apt-get install -y maven"
}

need_tools() {
    local tool
    for tool in timeout od ps cksum openssl; do
        command -v "$tool" >/dev/null 2>&1 ||
            fail "$tool is missing. Install it with:  sudo apt-get install -y coreutils procps openssl"
    done
}

# Prints the folder of the libraries of `kafka` or `cassandra`; resolves them if its pom changed or they were never resolved.
libraries_of() {
    local product=$1 pom=$here/test-servers/$1.pom.xml folder
    folder=$cache/$product-$(cksum <"$pom" | cut -d' ' -f1)
    if [ ! -e "$folder/complete" ]; then
        need_maven
        say "resolving the libraries of $product, once"
        rm -rf "$folder"
        mkdir -p "$folder"
        mvn --batch-mode --quiet -Dstyle.color=never --file "$pom" dependency:copy-dependencies \
            -DoutputDirectory="$folder" -DincludeScope=runtime </dev/null >&2
        touch "$folder/complete"
    fi
    echo "$folder"
}

# The jars in one fixed order, so that archives of classes fit from one start to the next.
classpath_of() { printf '%s\n' "$1"/*.jar | LC_ALL=C sort | paste -sd: -; }

# --- the folder of a set of servers -------------------------------------------------------------------------------------

default_dir() { echo "${TMPDIR:-/tmp}/saler-test-servers-$(id -u)"; }

open_dir() {
    dir=${1:-$(default_dir)}
    mkdir -p "$(dirname "$dir")"
    dir=$(cd "$(dirname "$dir")" && pwd -P)/$(basename "$dir")
    lock_dir
    mkdir -p "$dir"
    [ -O "$dir" ] || fail "$dir belongs to somebody else: name another folder"
    if [ ! -e "$dir/$marker" ]; then
        if [ -n "$(ls -A "$dir")" ]; then
            rm -f "$dir.lock"
            fail "$dir holds other things: name an empty or a new folder"
        fi
        touch "$dir/$marker"
    fi
}

existing_dir() {
    dir=${1:-$(default_dir)}
    [ -e "$dir/$marker" ] || fail "no servers were started in $dir"
    dir=$(cd "$dir" && pwd -P)
    # shellcheck disable=SC1091 # written by start
    [ ! -e "$dir/settings" ] || . "$dir/settings"
}

read_settings() {
    brokers=$1
    kafka_port=${SALER_TEST_KAFKA_PORT:-19092}
    controller_port=${SALER_TEST_KAFKA_CONTROLLER_PORT:-19192}
    advertised=${SALER_TEST_KAFKA_ADVERTISED:-}
    quorum=${SALER_TEST_KAFKA_QUORUM:-}
    cql_port=${SALER_TEST_CQL_PORT:-19042}
    storage_port=${SALER_TEST_CQL_STORAGE_PORT:-17000}
    kafka_heap=${SALER_TEST_KAFKA_HEAP:-320m}
    cql_heap=${SALER_TEST_CQL_HEAP:-640m}
    jvm=${SALER_TEST_JVM:-quick}
    secured=$2
    wait_s=${SALER_TEST_WAIT_S:-180}
    case "$jvm" in quick | full) ;; *) fail "SALER_TEST_JVM is quick or full, not $jvm" ;; esac
}

write_settings() {
    local name
    for name in brokers kafka_port controller_port advertised quorum cql_port storage_port kafka_heap cql_heap jvm secured wait_s; do
        printf '%s=%q\n' "$name" "${!name}"
    done >"$dir/settings"
}

# Two callers at once would both start: one waits for the other. Where `flock` is missing, callers take care themselves.
lock_dir() {
    command -v flock >/dev/null 2>&1 || return 0
    # `stop` removes the file: whoever waited for it meanwhile holds a lock that nobody else sees, and tries again.
    while :; do
        exec 9>"$dir.lock"
        flock -w "$lock_wait_s" 9 || fail "another call has been at work on $dir for $lock_wait_s s"
        [ ! "$dir.lock" -ef "/dev/fd/9" ] || return 0
    done
}

# --- processes ----------------------------------------------------------------------------------------------------------

pid_of() { cat "$dir/$1.pid" 2>/dev/null || true; }

# Whether the process of the pid file runs and is ours: a process id may have gone to somebody else meanwhile.
runs() {
    local pid
    pid=$(pid_of "$1")
    [ -n "$pid" ] && ps -ww -o stat=,args= -p "$pid" 2>/dev/null | grep -v '^Z' | grep -qF -- "-Dsaler.test.server=$dir/$1 "
}

# A process that ends loses its arguments, and then its first thread, some time before the last thread ("l") is gone.
is_gone() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null || true)
    case "$state" in "") ;; Z*l*) return 1 ;; Z*) ;; *) return 1 ;; esac
}

port_of() {
    case "$1" in
    kafka-*) echo $((kafka_port + ${1#kafka-} - 1)) ;;
    cassandra) echo "$cql_port" ;;
    esac
}

# The port on which the servers talk among themselves.
inner_port_of() {
    case "$1" in
    kafka-*) echo $((controller_port + ${1#kafka-} - 1)) ;;
    cassandra) echo "$storage_port" ;;
    esac
}

servers() {
    local number
    for ((number = 1; number <= brokers; number++)); do
        [ ! -d "$dir/kafka-$number" ] || echo "kafka-$number"
    done
    [ ! -d "$dir/cassandra" ] || echo cassandra
}

check_name() {
    case "$1" in
    kafka-[1-9] | cassandra) [ -d "$dir/$1" ] || fail "$1 was never started in $dir" ;;
    *) fail "there is no server $1: it is kafka-1 to kafka-9 or cassandra" ;;
    esac
}

stop_server() {
    local name=$1 pid waited=0
    if runs "$name"; then
        pid=$(pid_of "$name")
        # A paused process takes no SIGTERM.
        kill -CONT "$pid" 2>/dev/null || true
        kill -TERM "$pid" 2>/dev/null || true
        until is_gone "$pid"; do
            if ((waited == stop_grace_s * 10)); then
                say "$name did not end within $stop_grace_s s of SIGTERM: SIGKILL"
                kill -KILL "$pid" 2>/dev/null || true
            fi
            ((waited < (stop_grace_s + 10) * 10)) || fail "process $pid of $name does not end"
            waited=$((waited + 1))
            sleep 0.1
        done
    fi
    rm -f "$dir/$name.pid"
}

kill_server() {
    local name=$1 pid waited=0
    runs "$name" || fail "$name does not run"
    pid=$(pid_of "$name")
    kill -KILL "$pid"
    until is_gone "$pid"; do
        ((waited < 300)) || fail "process $pid of $name does not end"
        waited=$((waited + 1))
        sleep 0.1
    done
    rm -f "$dir/$name.pid"
}

# launch NAME COMMAND...: in a session of its own, so that Ctrl-C for a test run does not reach it, with nothing inherited.
launch() {
    local name=$1 detach=""
    shift
    ! command -v setsid >/dev/null 2>&1 || detach=setsid
    (
        cd "$dir/$name"
        # shellcheck disable=SC2086 # `detach` is one word or none
        exec $detach "$@" </dev/null >>"$dir/$name/server.log" 2>&1 9>&-
    ) &
    echo $! >"$dir/$name.pid"
}

# Puts into `options` what every server's Java is told.
jvm_options() {
    local name=$1 heap=$2
    options=("-Dsaler.test.server=$dir/$name" "-Xms$heap" "-Xmx$heap" -Xss512k -XX:+UseSerialGC -XX:-UsePerfData
        -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true "-Djava.io.tmpdir=$dir/$name/tmp")
    # The first compiler alone starts in half the processor time, and reaches some half of the speed.
    [ "$jvm" = full ] || options+=(-XX:TieredStopAtLevel=1)
}

# --- certificates -------------------------------------------------------------------------------------------------------

# An authority, and what it signed: a key and a certificate for 127.0.0.1, for Java in one file. And another authority.
make_certificates() {
    local tls=$dir/tls name
    [ ! -e "$tls/server.p12" ] || return 0
    mkdir -p "$tls"
    {
        for name in ca other-ca; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=saler test $name" \
                -keyout "$tls/$name.key" -out "$tls/$name.pem"
        done
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1 \
            -keyout "$tls/server.key" -out "$tls/server.csr"
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >"$tls/server.ext"
        openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
            -extfile "$tls/server.ext" -out "$tls/server.pem"
        openssl pkcs12 -export -in "$tls/server.pem" -inkey "$tls/server.key" -name server \
            -passout "pass:$store_password" -out "$tls/server.p12"
    } </dev/null >"$tls/log" 2>&1 || fail "the certificates cannot be made: $(tail -n 5 "$tls/log")"
}

# --- Kafka --------------------------------------------------------------------------------------------------------------

# The N-th of ports with commas between, or the N-th from a first one if there are none.
nth_port() {
    local number=$1 ports=$2 first=$3
    if [ -n "$ports" ]; then cut -d, -f"$number" <<<"$ports"; else echo $((first + number - 1)); fi
}

write_kafka_settings() {
    local number=$1 voters="" other replicas=$((brokers < 3 ? brokers : 3))
    for ((other = 1; other <= brokers; other++)); do
        voters+="${voters:+,}$other@127.0.0.1:$(nth_port "$other" "$quorum" "$controller_port")"
    done
    local listener="" protocols="" port=$((kafka_port + number - 1))
    if [ "$secured" = yes ]; then
        listener=",CLIENTS://127.0.0.1:$((port + secured_ports_above))"
        protocols=",CLIENTS:SASL_SSL"
        cat <<TEXT
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.keystore.type=PKCS12
listener.name.clients.ssl.keystore.location=$dir/tls/server.p12
listener.name.clients.ssl.keystore.password=$store_password
TEXT
    fi
    cat <<TEXT
process.roles=broker,controller
node.id=$number
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((controller_port + number - 1))$listener
advertised.listeners=PLAINTEXT://127.0.0.1:$(nth_port "$number" "$advertised" "$kafka_port")$listener
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT$protocols
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/kafka-$number/data
# Topics are made by the hub with everything that it needs, never by accident.
auto.create.topics.enable=false
offsets.topic.num.partitions=$replicas
offsets.topic.replication.factor=$replicas
transaction.state.log.num.partitions=$replicas
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$((replicas > 1 ? 2 : 1))
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$((replicas > 1 ? 2 : 1))
# Groups settle at once, and tests may lose a member within seconds.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A killed broker is missed, and may come back, after this time.
broker.session.timeout.ms=4500
broker.heartbeat.interval.ms=900
# A follower that is cut off holds up what waits for it no longer than this.
replica.lag.time.max.ms=10000
controlled.shutdown.enable=true
# Retention is seen within a second, not within five minutes.
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
log.segment.delete.delay.ms=1000
# Small: two cores and many other things on them.
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
num.recovery.threads.per.data.dir=1
background.threads=2
log.cleaner.dedupe.buffer.size=4194304
TEXT
}

# Every broker of a set is formatted with the set's cluster id.
start_kafka() {
    local number=$1 name=kafka-$1 fresh=$2 folder classpath java
    java=$(find_java)
    folder=$(libraries_of kafka)
    classpath=$(classpath_of "$folder")
    if [ "$fresh" = fresh ]; then
        rm -rf "${dir:?}/$name"
        mkdir -p "$dir/$name/tmp"
        [ -s "$dir/cluster-id" ] || head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22 >"$dir/cluster-id"
        local users=()
        if [ "$secured" = yes ]; then
            make_certificates
            users=(--add-scram "SCRAM-SHA-512=[name=$kafka_user,password=$kafka_password]")
        fi
        write_kafka_settings "$number" >"$dir/$name/server.properties"
        "$java" -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
            "-Dlog4j2.configurationFile=$here/test-servers/log4j2.xml" -cp "$classpath" kafka.tools.StorageTool format \
            --cluster-id "$(cat "$dir/cluster-id")" --config "$dir/$name/server.properties" \
            "${users[@]}" </dev/null >>"$dir/$name/server.log" 2>&1 9>&- ||
            fail "the folder of $name cannot be formatted: $(tail -n 5 "$dir/$name/server.log")"
    fi
    jvm_options "$name" "$kafka_heap"
    launch "$name" "$java" "${options[@]}" \
        "-Dlog4j2.configurationFile=$here/test-servers/log4j2.xml" \
        -cp "$classpath" kafka.Kafka "$dir/$name/server.properties"
}

# --- Cassandra ----------------------------------------------------------------------------------------------------------

# What Cassandra asks of clients with --secured.
cassandra_security() {
    [ "$secured" = yes ] || return 0
    cat <<TEXT
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
client_encryption_options:
  enabled: true
  optional: false
  keystore: "$dir/tls/server.p12"
  keystore_password: "$store_password"
  store_type: PKCS12
TEXT
}

write_cassandra_settings() {
    local data=$dir/cassandra
    cat <<TEXT
cluster_name: saler-tests
num_tokens: 1
initial_token: "0"
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: $storage_port
start_native_transport: true
native_transport_port: $cql_port
# A write is answered after its fsync, so that a kill -9 takes nothing that was acknowledged.
commitlog_sync: batch
# The newer of its two Paxos protocols: fewer rounds, so fewer fsyncs for a compare-and-set.
paxos_variant: v2
# The hub writes rows of many partitions in one request, since a request costs more than a row: up to the size from which on
# the node warns. By default that is 5 KiB and ten partitions.
batch_size_warn_threshold: 60KiB
batch_size_fail_threshold: 120KiB
unlogged_batch_across_partitions_warn_threshold: 100
# A write may have half of a segment; and what is on its way may be that large beside others, however small the heap.
commitlog_segment_size: 32MiB
commitlog_total_space: 256MiB
native_transport_max_request_data_in_flight_per_ip: 64MiB
native_transport_max_request_data_in_flight: 128MiB
disk_failure_policy: die
commit_failure_policy: die
auto_snapshot: false
incremental_backups: false
cdc_enabled: false
data_file_directories: ["$data/data"]
commitlog_directory: "$data/commitlog"
saved_caches_directory: "$data/saved_caches"
hints_directory: "$data/hints"
cdc_raw_directory: "$data/cdc_raw"
concurrent_reads: 8
# A write holds its thread until its fsync, which all that wait share.
concurrent_writes: 64
concurrent_counter_writes: 2
concurrent_compactors: 1
memtable_heap_space: 96MiB
memtable_offheap_space: 96MiB
file_cache_size: 64MiB
key_cache_size: 8MiB
$(cassandra_security)
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:$storage_port"
TEXT
}

# Adds to `options` what Java 17 must open to Cassandra 5.0, as its own conf/jvm17-server.options says.
cassandra_modules() {
    local part
    for part in java.base/jdk.internal.misc java.base/java.lang.ref java.management.rmi/com.sun.jmx.remote.internal.rmi \
        java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql jdk.unsupported/sun.misc \
        jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach; do
        options+=("--add-exports=$part=ALL-UNNAMED")
    done
    for part in java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.io \
        java.base/java.util java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/java.nio \
        java.base/sun.nio.ch java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect \
        java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar \
        jdk.management/com.sun.management.internal jdk.compiler/com.sun.tools.javac; do
        options+=("--add-opens=$part=ALL-UNNAMED")
    done
}

start_cassandra() {
    local fresh=$1 folder java
    java=$(find_java)
    folder=$(libraries_of cassandra)
    if [ "$fresh" = fresh ]; then
        rm -rf "${dir:?}/cassandra"
        mkdir -p "$dir/cassandra/tmp"
        [ "$secured" = no ] || make_certificates
        write_cassandra_settings >"$dir/cassandra/cassandra.yaml"
    fi
    jvm_options cassandra "$cql_heap"
    cassandra_modules
    launch cassandra "$java" "${options[@]}" "-javaagent:$(echo "$folder"/jamm-*.jar)" -Dio.netty.tryReflectionSetAccessible=true -Djdk.attach.allowAttachSelf=true \
        "-Dcassandra.config=file://$dir/cassandra/cassandra.yaml" "-Dcassandra.storagedir=$dir/cassandra" \
        "-Dcassandra.logdir=$dir/cassandra" "-Dlogback.configurationFile=$here/test-servers/logback.xml" \
        -Dcassandra-foreground=yes -Dcassandra.libjemalloc=- -Dcassandra.skip_wait_for_gossip_to_settle=0 \
        -Dcassandra.ring_delay_ms=0 -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.disable_auth_caches_remote_configuration=true \
        -cp "$(classpath_of "$folder")" org.apache.cassandra.service.CassandraDaemon
}

# --- whether a server answers -------------------------------------------------------------------------------------------

# Reads N bytes of descriptor 3 as hexadecimal digits.
read_hex() { head -c "$1" <&3 | od -An -v -tx1 | tr -d ' \n'; }

# Asks the broker for the cluster's metadata (Metadata, version 1, of no topics), and looks for the broker itself in the
# answer: one that is not registered, or fenced, is not in it.
probe_kafka() {
    local port=$1 number=$2 size reply brokers at id host
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    # Size 19, key 3, version 1, correlation 7, client "probe" (5 bytes), no topics.
    printf '\x00\x00\x00\x13\x00\x03\x00\x01\x00\x00\x00\x07\x00\x05probe\x00\x00\x00\x00' >&3
    size=$((16#$(read_hex 4)))
    reply=$(read_hex "$size")
    [ "${reply:0:8}" = 00000007 ]
    brokers=$((16#${reply:8:8}))
    at=16
    while ((brokers > 0)); do
        id=$((16#${reply:at:8}))
        host=$((16#${reply:at+8:4}))
        ((id != number)) || return 0
        # The id, the host with its length, the port, and a rack that is not given.
        at=$((at + 2 * (4 + 2 + host + 4 + 2)))
        brokers=$((brokers - 1))
    done
    return 1
}

# Opens a CQL connection (STARTUP, version 4 of the protocol) and reads a row (QUERY).
probe_cql() {
    local head
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '\x04\x00\x00\x01\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0' >&3
    head=$(read_hex 9)
    [ "${head:8:2}" = 02 ] # READY
    # 42 characters, consistency ONE, no flags.
    printf '\x04\x00\x00\x02\x07\x00\x00\x00\x31\x00\x00\x00\x2a%s\x00\x01\x00' 'SELECT release_version FROM system.local  ' >&3
    head=$(read_hex 9)
    [ "${head:8:2}" = 08 ] # RESULT
}

# The same over TLS, and signs in: the first user is made some time after the node answers. Both requests go at once; what
# counts is that the second is answered with AUTH_SUCCESS.
probe_secured_cql() {
    {
        printf '\x04\x00\x00\x01\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0'
        sleep 0.5
        printf '\x04\x00\x00\x02\x0f\x00\x00\x00\x18\x00\x00\x00\x14\x00cassandra\x00cassandra'
        sleep 1
    } | openssl s_client -quiet -no_ign_eof -connect "127.0.0.1:$1" -CAfile "$2" 2>/dev/null | od -An -v -tx1 | tr -d ' \n' |
        grep -q 8400000210
}

answers() {
    case "$1:$secured" in
    cassandra:yes)
        timeout "$probe_timeout_s" bash "$self" probe-secured-cql "$(port_of "$1")" "$dir/tls/ca.pem" >/dev/null 2>&1
        return
        ;;
    esac
    case "$1" in
    kafka-*) timeout "$probe_timeout_s" bash "$self" probe-kafka "$(port_of "$1")" "${1#kafka-}" >/dev/null 2>&1 ;;
    cassandra) timeout "$probe_timeout_s" bash "$self" probe-cql "$(port_of "$1")" >/dev/null 2>&1 ;;
    esac
}

listens() { timeout "$probe_timeout_s" bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" >/dev/null 2>&1; }

# The last errors of a server's log, or its last lines.
explain() {
    grep -E -A 3 'ERROR|FATAL|Exception|^Error' "$dir/$1/server.log" | tail -n 20 >&2 || tail -n 20 "$dir/$1/server.log" >&2 || true
}

wait_for() {
    local name=$1 begun=$SECONDS
    until answers "$name"; do
        if ! runs "$name"; then
            explain "$name"
            fail "$name ended instead of answering; its log is $dir/$name/server.log"
        fi
        if ((SECONDS - begun >= wait_s)); then
            explain "$name"
            fail "$name did not answer within $wait_s s; its log is $dir/$name/server.log"
        fi
        sleep 0.2
    done
}

# --- commands -----------------------------------------------------------------------------------------------------------

start_server() {
    local name=$1 fresh=$2 port
    for port in "$(port_of "$name")" "$(inner_port_of "$name")"; do
        if listens "$port"; then
            fail "port $port for $name is taken by another program: stop it, or set other ports (see --help)"
        fi
    done
    case "$name" in
    kafka-*) start_kafka "${name#kafka-}" "$fresh" ;;
    cassandra) start_cassandra "$fresh" ;;
    esac
}

print_env() {
    local number bootstrap="" named=SALER_TEST above=0
    if [ "$secured" = yes ]; then
        named=SALER_TEST_SECURED above=$secured_ports_above
        echo "export SALER_TEST_SECURED_TLS=$dir/tls"
    fi
    for ((number = 1; number <= brokers; number++)); do
        [ ! -d "$dir/kafka-$number" ] || bootstrap+="${bootstrap:+,}127.0.0.1:$((kafka_port + above + number - 1))"
    done
    [ -z "$bootstrap" ] || echo "export ${named}_KAFKA=$bootstrap"
    [ ! -d "$dir/cassandra" ] || echo "export ${named}_CQL=127.0.0.1:$cql_port"
}

start() {
    local wanted_brokers=1 given_brokers=no wanted_security=no only="" name names="" begun=$SECONDS number
    while [ $# -gt 0 ]; do
        case "$1" in
        --brokers)
            wanted_brokers=${2:?--brokers takes a number}
            given_brokers=yes
            shift 2
            ;;
        --only)
            only=${2:?--only takes kafka or cassandra}
            shift 2
            ;;
        --secured)
            wanted_security=yes
            shift
            ;;
        -*) fail "start knows no $1" ;;
        *) break ;;
        esac
    done
    case "$wanted_brokers" in [1-9]) ;; *) fail "--brokers takes 1 to 9, not $wanted_brokers" ;; esac
    case "$only" in "" | kafka | cassandra) ;; *) fail "--only takes kafka or cassandra, not $only" ;; esac
    need_tools
    find_java >/dev/null
    open_dir "${1:-}"

    # Servers that run already keep their settings, so that a second call joins the first.
    local running=""
    if [ -e "$dir/settings" ]; then
        # shellcheck disable=SC1091 # written by an earlier start
        . "$dir/settings"
        for name in $(servers); do
            if runs "$name"; then running+=" $name"; fi
        done
    fi
    if [ -z "$running" ]; then
        read_settings "$wanted_brokers" "$wanted_security"
        rm -rf "${dir:?}/tls"
        rm -f "$dir/cluster-id"
        write_settings
    elif [ "$given_brokers" = yes ] && [ "$brokers" != "$wanted_brokers" ]; then
        fail "servers run in $dir with $brokers brokers: stop them first, or name another folder and other ports"
    elif [ "$secured" != "$wanted_security" ]; then
        fail "servers run in $dir with other security: stop them first, or name another folder and other ports"
    fi

    if [ "$only" != cassandra ]; then
        for ((number = 1; number <= brokers; number++)); do names+=" kafka-$number"; done
    fi
    [ "$only" = kafka ] || names+=" cassandra"
    # What this call started does not outlive its failure; folders and logs stay, to be read.
    started=""
    trap 'for name in $started; do stop_server "$name"; done' EXIT
    for name in $names; do
        case "$running " in
        *" $name "*) ;;
        *)
            start_server "$name" fresh
            started+=" $name"
            ;;
        esac
    done
    for name in $names; do wait_for "$name"; done
    trap - EXIT
    names=${names# }
    say "${names// /, } answer after $((SECONDS - begun)) s; logs and data are in $dir"
    print_env
}

stop() {
    local name
    dir=${1:-$(default_dir)}
    if [ ! -e "$dir/$marker" ]; then
        say "nothing to stop in $dir"
        return
    fi
    existing_dir "${1:-}"
    lock_dir
    [ -e "$dir/$marker" ] || return 0
    if [ -e "$dir/settings" ]; then
        for name in $(servers); do
            # All at once, then wait for each: a server may take some seconds.
            ! runs "$name" || kill -TERM "$(pid_of "$name")" 2>/dev/null || true
        done
        for name in $(servers); do stop_server "$name"; done
    fi
    rm -rf "$dir" "$dir.lock"
    say "stopped; $dir is removed"
}

status() {
    local name pid state all=0
    dir=${1:-$(default_dir)}
    if [ ! -e "$dir/settings" ]; then
        echo "no servers in $dir"
        return 1
    fi
    existing_dir "${1:-}"
    for name in $(servers); do
        pid=$(pid_of "$name")
        if ! runs "$name"; then
            state="stopped"
            all=1
        elif answers "$name"; then
            state="answers on 127.0.0.1:$(port_of "$name"), process $pid, $(($(ps -o rss= -p "$pid") / 1024)) MiB"
        else
            state="process $pid does not answer"
            all=1
        fi
        echo "$name: $state"
    done
    return $all
}

one() {
    local command=$1 name=${2:?name a server: kafka-1 to kafka-9 or cassandra}
    existing_dir "${3:-}"
    check_name "$name"
    [ "$command" = wait-one ] || lock_dir
    case "$command" in
    wait-one) wait_for "$name" ;;
    start-one)
        if ! runs "$name"; then
            start_server "$name" kept
        fi
        wait_for "$name"
        ;;
    stop-one) stop_server "$name" ;;
    kill-one) kill_server "$name" ;;
    pause-one | resume-one)
        runs "$name" || fail "$name does not run"
        kill "-$([ "$command" = pause-one ] && echo STOP || echo CONT)" "$(pid_of "$name")"
        ;;
    esac
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
start | stop | status) "$command" "$@" ;;
tools)
    need_tools
    find_java >/dev/null
    need_maven
    ;;
env)
    existing_dir "${1:-}"
    print_env
    ;;
start-one | stop-one | kill-one | pause-one | resume-one | wait-one) one "$command" "$@" ;;
probe-kafka) probe_kafka "$@" ;;
probe-cql) probe_cql "$@" ;;
probe-secured-cql) probe_secured_cql "$@" ;;
help | -h | --help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
