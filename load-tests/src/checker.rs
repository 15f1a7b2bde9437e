//! The fault harness's memory and judge: a history of what was sent, acknowledged and received, kept on disk by the harness
//! and not by the system under test, and the checks that it must pass against what the hub holds in the end.
//!
//! The checks follow Jepsen's for Kafka (lost writes, duplicates, order, polls that skip) and extend them to sockets: a
//! number that is missing without an announced gap, an event that comes again after a resume.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most violations of one kind that are listed; the count of all is always given.
const LISTED: usize = 20;

/// Something that happened, in the order in which the harness learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Entry {
    /// A webhook is about to be sent; `key` is the message's index.
    Send {
        /// Which message.
        key: u64,
    },
    /// The hub answered a webhook with 2xx.
    Ack {
        /// Which message.
        key: u64,
    },
    /// The hub answered otherwise, or not at all: the message may be there or not.
    Unclear {
        /// Which message.
        key: u64,
    },
    /// A socket began to listen to everything in a workspace, before the first message.
    Listen {
        /// Which socket.
        socket: u32,
        /// The workspace's number.
        space: u32,
    },
    /// A socket was given an event of an added message.
    Receive {
        /// Which socket, over all its connections.
        socket: u32,
        /// The partition of the event.
        partition: u32,
        /// Its offset.
        offset: u64,
        /// The conversation.
        conversation: Uuid,
        /// The message's number in it.
        seq: u64,
        /// Which message, if this harness wrote it.
        key: Option<u64>,
    },
    /// A socket was told that events are missing.
    Gap {
        /// Which socket.
        socket: u32,
    },
    /// A heartbeat's count differed from what came: frames were lost in silence.
    Miscount {
        /// Which socket.
        socket: u32,
    },
    /// The hub was killed.
    Kill {
        /// For the how-manieth time, from 1.
        round: u32,
    },
    /// The hub was ready again.
    Open {
        /// After which kill.
        round: u32,
        /// Milliseconds from the start of its process.
        millis: u64,
    },
}

/// A message that the hub's API shows in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of the workspace that holds it.
    pub space: u32,
    /// The conversation.
    pub conversation: Uuid,
    /// Its number in it.
    pub seq: u64,
    /// Which message, if this harness wrote it.
    pub key: Option<u64>,
}

/// The history: in memory, and as JSON lines in a file.
#[derive(Debug)]
pub struct History {
    entries: Vec<Entry>,
    file: BufWriter<File>,
}

impl History {
    /// An empty history in this file.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write the history {}", path.display()))?;
        Ok(Self { entries: Vec::new(), file: BufWriter::new(file) })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&mut self, entry: Entry) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.file, &entry).context("cannot write the history")?;
        self.file.write_all(b"\n").context("cannot write the history")?;
        self.entries.push(entry);
        Ok(())
    }

    /// Makes everything so far durable.
    ///
    /// # Errors
    /// If the file cannot be synced.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        self.file.flush().context("cannot write the history")?;
        self.file.get_ref().sync_data().context("cannot sync the history")
    }

    /// Everything so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Violation {
    /// Acknowledged, and not there.
    Lost {
        /// Which message.
        key: u64,
    },
    /// There more than once.
    Doubled {
        /// Which message.
        key: u64,
        /// How often.
        times: usize,
    },
    /// There, and never sent.
    Invented {
        /// Which message.
        key: u64,
    },
    /// The numbers of a conversation are not 1, 2, 3, …
    Numbering {
        /// Which conversation.
        conversation: Uuid,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A socket missed messages, and was not told.
    SocketHole {
        /// Which socket.
        socket: u32,
        /// Which conversation.
        conversation: Uuid,
        /// The number that should have come.
        expected: u64,
        /// The number that came; one after the last if the end is missing.
        found: u64,
    },
    /// A socket was given a message again.
    SocketRepeat {
        /// Which socket.
        socket: u32,
        /// Which conversation.
        conversation: Uuid,
        /// The number.
        seq: u64,
    },
    /// The place of an event was not after the one before it in its partition.
    SocketOrder {
        /// Which socket.
        socket: u32,
        /// Which partition.
        partition: u32,
        /// The offset before.
        last: u64,
        /// The offset that came.
        offset: u64,
    },
    /// A socket's count of frames was not the hub's.
    SocketMiscount {
        /// Which socket.
        socket: u32,
    },
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Webhooks sent.
    pub sent: u64,
    /// Webhooks acknowledged.
    pub acknowledged: u64,
    /// Webhooks without a clear answer.
    pub unclear: u64,
    /// Of those, the ones whose message is there.
    pub unclear_stored: u64,
    /// Messages that the hub holds.
    pub stored: u64,
    /// Events of messages that sockets were given.
    pub received: u64,
    /// Announced gaps.
    pub announced_gaps: u64,
    /// Kills.
    pub kills: u32,
    /// The longest time to open, in milliseconds.
    pub longest_open_millis: u64,
    /// How many violations there are.
    pub violations: usize,
    /// How many acknowledged messages are lost.
    pub lost: usize,
    /// How many messages are there more than once.
    pub doubled: usize,
    /// The first violations of each kind.
    pub examples: Vec<Violation>,
}

/// Judges a history by what the hub holds in the end. Sockets listened from before the first message to the end.
pub fn check(entries: &[Entry], stored: &[Stored]) -> Verdict {
    let mut verdict = Verdict { stored: stored.len() as u64, ..Verdict::default() };
    let mut violations = check_stored(entries, stored, &mut verdict);
    violations.extend(check_numbering(stored));
    violations.extend(check_sockets(entries, stored, &mut verdict));
    verdict.violations = violations.len();
    verdict.lost = violations.iter().filter(|violation| matches!(violation, Violation::Lost { .. })).count();
    verdict.doubled = violations.iter().filter(|violation| matches!(violation, Violation::Doubled { .. })).count();
    let mut listed: HashMap<std::mem::Discriminant<Violation>, usize> = HashMap::new();
    violations.sort();
    violations.retain(|violation| {
        let count = listed.entry(std::mem::discriminant(violation)).or_default();
        *count += 1;
        *count <= LISTED
    });
    verdict.examples = violations;
    verdict
}

/// How often each key is there.
pub(crate) fn occurrences(keys: impl IntoIterator<Item = u64>) -> HashMap<u64, usize> {
    let mut times = HashMap::new();
    for key in keys {
        *times.entry(key).or_default() += 1;
    }
    times
}

fn check_stored(entries: &[Entry], stored: &[Stored], verdict: &mut Verdict) -> Vec<Violation> {
    let times = occurrences(stored.iter().filter_map(|message| message.key));
    let mut sent = BTreeSet::new();
    let mut violations = Vec::new();
    for entry in entries {
        match *entry {
            Entry::Send { key } => {
                sent.insert(key);
            }
            Entry::Ack { key } => {
                verdict.acknowledged += 1;
                if !times.contains_key(&key) {
                    violations.push(Violation::Lost { key });
                }
            }
            Entry::Unclear { key } => {
                verdict.unclear += 1;
                verdict.unclear_stored += u64::from(times.contains_key(&key));
            }
            Entry::Kill { round } => verdict.kills = verdict.kills.max(round),
            Entry::Open { millis, .. } => verdict.longest_open_millis = verdict.longest_open_millis.max(millis),
            Entry::Listen { .. } | Entry::Receive { .. } | Entry::Gap { .. } | Entry::Miscount { .. } => {}
        }
    }
    verdict.sent = sent.len() as u64;
    for (key, times) in times {
        if times > 1 {
            violations.push(Violation::Doubled { key, times });
        }
        if !sent.contains(&key) {
            violations.push(Violation::Invented { key });
        }
    }
    violations
}

/// The numbers of each conversation, in order; conversations by workspace.
fn numbers_by_conversation(stored: &[Stored]) -> BTreeMap<(u32, Uuid), Vec<u64>> {
    let mut numbers: BTreeMap<(u32, Uuid), Vec<u64>> = BTreeMap::new();
    for message in stored {
        numbers.entry((message.space, message.conversation)).or_default().push(message.seq);
    }
    for of_one in numbers.values_mut() {
        of_one.sort_unstable();
    }
    numbers
}

fn check_numbering(stored: &[Stored]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for ((_space, conversation), numbers) in numbers_by_conversation(stored) {
        for (expected, found) in (1..).zip(numbers) {
            if found != expected {
                violations.push(Violation::Numbering { conversation, expected, found });
                break;
            }
        }
    }
    violations
}

/// What a socket has been given so far.
#[derive(Default)]
struct Reader {
    /// The workspace that it sees.
    space: u32,
    /// The last number of each conversation.
    last: HashMap<Uuid, u64>,
    /// The last offset of each partition.
    places: HashMap<u32, u64>,
    /// Conversations whose next number may be any, since a gap was announced.
    forgiven: bool,
    /// The conversations that have been seen since the last gap.
    since_gap: BTreeSet<Uuid>,
}

fn check_sockets(entries: &[Entry], stored: &[Stored], verdict: &mut Verdict) -> Vec<Violation> {
    let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
    let mut violations = Vec::new();
    for entry in entries {
        match *entry {
            Entry::Listen { socket, space } => readers.entry(socket).or_default().space = space,
            Entry::Receive { socket, partition, offset, conversation, seq, .. } => {
                verdict.received += 1;
                let reader = readers.entry(socket).or_default();
                violations.extend(reader.receive(socket, (partition, offset), conversation, seq));
            }
            Entry::Gap { socket } => {
                verdict.announced_gaps += 1;
                let reader = readers.entry(socket).or_default();
                reader.forgiven = true;
                reader.since_gap.clear();
            }
            Entry::Miscount { socket } => violations.push(Violation::SocketMiscount { socket }),
            _ => {}
        }
    }
    let ends: BTreeMap<(u32, Uuid), u64> = numbers_by_conversation(stored)
        .into_iter()
        .filter_map(|(conversation, numbers)| Some((conversation, *numbers.last()?)))
        .collect();
    for (socket, reader) in readers {
        for ((_space, conversation), end) in ends.iter().filter(|((space, _), _)| *space == reader.space) {
            let last = reader.last.get(conversation).copied().unwrap_or(0);
            // After a gap, a socket knows of a conversation only once it has moved again.
            let must_know = !reader.forgiven || reader.since_gap.contains(conversation);
            if must_know && last < *end {
                violations.push(Violation::SocketHole {
                    socket,
                    conversation: *conversation,
                    expected: last + 1,
                    found: end + 1,
                });
            }
        }
    }
    violations
}

impl Reader {
    fn receive(&mut self, socket: u32, place: (u32, u64), conversation: Uuid, seq: u64) -> Option<Violation> {
        let (partition, offset) = place;
        let before = self.places.insert(partition, offset);
        let known = self.last.get(&conversation).copied().unwrap_or(0);
        let fresh_after_gap = self.forgiven && self.since_gap.insert(conversation);
        self.last.insert(conversation, seq.max(known));
        if let Some(last) = before
            && offset <= last
        {
            self.places.insert(partition, last);
            // The same message again is named as what it is.
            if seq > known {
                return Some(Violation::SocketOrder { socket, partition, last, offset });
            }
        }
        if seq <= known {
            return Some(Violation::SocketRepeat { socket, conversation, seq });
        }
        let hole = seq != known + 1 && !fresh_after_gap;
        hole.then(|| Violation::SocketHole { socket, conversation, expected: known + 1, found: seq })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A run without faults: `conversations` with `length` messages each, seen by two sockets.
    fn clean(conversations: u64, length: u64) -> (Vec<Entry>, Vec<Stored>) {
        let mut entries = vec![Entry::Listen { socket: 0, space: 0 }, Entry::Listen { socket: 1, space: 0 }];
        let mut stored = Vec::new();
        for seq in 1..=length {
            for conversation in 0..conversations {
                let key = (seq - 1) * conversations + conversation;
                entries.push(Entry::Send { key });
                entries.push(Entry::Ack { key });
                let conversation = Uuid::from_u128(u128::from(conversation));
                stored.push(Stored { space: 0, conversation, seq, key: Some(key) });
                for socket in 0..2 {
                    entries.push(Entry::Receive {
                        socket,
                        partition: 0,
                        offset: key * 3,
                        conversation,
                        seq,
                        key: Some(key),
                    });
                }
            }
        }
        (entries, stored)
    }

    fn is_receive_of(entry: &Entry, wanted_socket: u32, wanted_key: u64) -> bool {
        matches!(entry, Entry::Receive { socket, key, .. } if *socket == wanted_socket && *key == Some(wanted_key))
    }

    #[test]
    fn a_clean_run_passes() {
        let (entries, stored) = clean(3, 5);
        let verdict = check(&entries, &stored);
        assert_eq!(verdict.examples, []);
        assert_eq!((verdict.sent, verdict.acknowledged, verdict.stored, verdict.received), (15, 15, 15, 30));
    }

    #[test]
    fn finds_a_lost_message_by_its_absence_and_by_the_numbering() {
        let (entries, mut stored) = clean(2, 4);
        stored.retain(|message| message.key != Some(2));
        let verdict = check(&entries, &stored);
        assert_eq!((verdict.lost, verdict.doubled), (1, 0));
        assert!(verdict.examples.contains(&Violation::Lost { key: 2 }));
        assert!(
            verdict.examples.iter().any(|found| matches!(found, Violation::Numbering { expected: 2, found: 3, .. }))
        );
    }

    #[test]
    fn finds_a_doubled_and_an_invented_message() {
        let (entries, mut stored) = clean(1, 3);
        stored.push(Stored { space: 0, conversation: Uuid::nil(), seq: 4, key: Some(1) });
        stored.push(Stored { space: 0, conversation: Uuid::nil(), seq: 5, key: Some(77) });
        let verdict = check(&entries, &stored);
        assert!(verdict.examples.contains(&Violation::Doubled { key: 1, times: 2 }));
        assert!(verdict.examples.contains(&Violation::Invented { key: 77 }));
    }

    #[test]
    fn an_unclear_message_may_be_there_or_not() {
        let (mut entries, mut stored) = clean(1, 3);
        entries.extend([
            Entry::Send { key: 10 },
            Entry::Unclear { key: 10 },
            Entry::Send { key: 11 },
            Entry::Unclear { key: 11 },
        ]);
        stored.push(Stored { space: 0, conversation: Uuid::max(), seq: 1, key: Some(11) });
        for socket in 0..2 {
            entries.push(Entry::Receive {
                socket,
                partition: 0,
                offset: 900,
                conversation: Uuid::max(),
                seq: 1,
                key: Some(11),
            });
        }
        let verdict = check(&entries, &stored);
        assert_eq!(verdict.examples, []);
        assert_eq!((verdict.unclear, verdict.unclear_stored), (2, 1));
    }

    #[test]
    fn finds_a_hole_in_the_middle_and_at_the_end_of_a_socket() {
        let (entries, stored) = clean(2, 4);
        for (missing, expected, found) in [(2, 2, 3), (7, 4, 5)] {
            let cut: Vec<_> = entries.iter().copied().filter(|entry| !is_receive_of(entry, 1, missing)).collect();
            let verdict = check(&cut, &stored);
            assert_eq!(verdict.violations, 1, "{:?}", verdict.examples);
            assert!(matches!(verdict.examples[0],
                Violation::SocketHole { socket: 1, expected: e, found: f, .. } if e == expected && f == found));
        }
    }

    #[test]
    fn an_announced_gap_forgives_what_it_skipped_and_nothing_after_it() {
        let (entries, stored) = clean(1, 6);
        let skip = |skipped: &[u64], gap_before: u64| -> Vec<Entry> {
            let mut cut = Vec::new();
            for entry in &entries {
                if is_receive_of(entry, 0, gap_before) {
                    cut.push(Entry::Gap { socket: 0 });
                }
                if !skipped.iter().any(|key| is_receive_of(entry, 0, *key)) {
                    cut.push(*entry);
                }
            }
            cut
        };
        let verdict = check(&skip(&[1, 2], 3), &stored);
        assert_eq!((verdict.violations, verdict.announced_gaps), (0, 1), "{:?}", verdict.examples);
        assert_eq!(check(&skip(&[1, 2, 4], 3), &stored).violations, 1);
    }

    #[test]
    fn finds_a_message_that_comes_again_after_a_resume_and_one_out_of_order() {
        let (mut entries, stored) = clean(1, 3);
        entries.push(Entry::Receive {
            socket: 0,
            partition: 0,
            offset: 6,
            conversation: Uuid::nil(),
            seq: 3,
            key: Some(2),
        });
        let verdict = check(&entries, &stored);
        assert!(matches!(verdict.examples[..], [Violation::SocketRepeat { socket: 0, seq: 3, .. }]));
        let (mut entries, mut stored) = clean(1, 3);
        entries.push(Entry::Send { key: 3 });
        stored.push(Stored { space: 0, conversation: Uuid::nil(), seq: 4, key: Some(3) });
        for (socket, offset) in [(0, 1), (1, 9)] {
            entries.push(Entry::Receive {
                socket,
                partition: 0,
                offset,
                conversation: Uuid::nil(),
                seq: 4,
                key: Some(3),
            });
        }
        let verdict = check(&entries, &stored);
        assert!(matches!(verdict.examples[..], [Violation::SocketOrder { socket: 0, last: 6, offset: 1, .. }]));
    }

    proptest! {
        /// Whatever single send, receive or row is taken out of a clean run, the checker notices. Acknowledgements and
        /// listeners are promises: without one there is nothing to break.
        #[test]
        fn any_single_loss_is_noticed(conversations in 1_u64..4, length in 1_u64..6, at: prop::sample::Index) {
            let (mut entries, mut stored) = clean(conversations, length);
            let at = at.index(entries.len() + stored.len());
            let promised = if at < entries.len() {
                !matches!(entries.remove(at), Entry::Ack { .. } | Entry::Listen { .. })
            } else {
                stored.remove(at - entries.len());
                true
            };
            prop_assert_eq!(check(&entries, &stored).violations > 0, promised);
        }
    }

    #[test]
    fn the_history_is_on_disk_as_json_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let (entries, _) = clean(1, 2);
        let mut history = History::create(&path).unwrap();
        for entry in &entries {
            history.record(*entry).unwrap();
        }
        history.sync().unwrap();
        let read: Vec<Entry> =
            std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, entries);
        assert_eq!(history.entries(), entries);
    }
}
