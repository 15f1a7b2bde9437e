//! Who says what next: the state of all conversations of the demo, without I/O and without a clock of its own.
//!
//! A talk goes through the lines of its dialogue. Customer lines are due some seconds apart; at an agent's line the
//! customer waits until an answer comes (any answer: a human need not follow the script), then goes on behind it. Who
//! waits long asks once more, and gives up in the end.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use tokio::time::Instant;

use super::script::{Content, Dialogue, Language, Line, Persona, library};

/// The most talks that go on at once.
pub const MAX_TALKS: usize = 60;
/// The most customers who are remembered as having written before.
const MAX_KNOWN: usize = 400;
/// The share of new talks that are begun by somebody who wrote before.
const RETURNING_SHARE: f64 = 0.3;
/// The share of talks that simulated agents take; the others are left to the human.
const TAKEN_SHARE: f64 = 0.6;
/// The most talks that are left to the human at once; above, simulated agents take all new ones.
const MAX_LEFT: usize = 12;
/// The share of those who ask once more that simulated agents help after all.
const HELPED_SHARE: f64 = 0.5;
/// How long a customer waits before they ask once more.
const NUDGE_AFTER: Duration = Duration::from_secs(150);
/// How long a customer waits before they give up.
const GIVE_UP_AFTER: Duration = Duration::from_mins(20);

const ENGLISH_NUDGES: &[&str] = &["Hello? 👀", "Is anybody there?", "??", "Still waiting...", "any update please?"];
const ARABIC_NUDGES: &[&str] = &["الو؟ 👀", "في أحد؟", "؟؟", "للحين أنتظر...", "يا جماعة وينكم؟"];

/// What a customer says now.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Who.
    pub persona: Persona,
    /// On which channel: an index into the demo's phone channels.
    pub channel: usize,
    /// What, blanks filled.
    pub content: Content,
}

/// What a simulated agent should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The customer's number in E.164.
    pub number: String,
    /// On which channel: an index into the demo's phone channels.
    pub channel: usize,
    /// Answer with this.
    pub text: String,
    /// Resolve the conversation after the answer, since nothing more comes.
    pub resolve: bool,
    /// How long the agent reads and types.
    pub after: Duration,
}

#[derive(Debug)]
struct Talk {
    persona: Persona,
    channel: usize,
    dialogue: usize,
    position: usize,
    due_at: Instant,
    waiting_since: Option<Instant>,
    nudged: bool,
    taken_by_agents: bool,
}

/// The conversations of the demo.
#[derive(Debug)]
pub struct Director {
    english: Vec<Dialogue>,
    arabic: Vec<Dialogue>,
    talks: Vec<Talk>,
    known: Vec<(Persona, usize)>,
    random: SmallRng,
    channels: usize,
    invented: u32,
    with_agents: bool,
}

impl Director {
    /// A demo over so many phone channels; `with_agents` if simulated agents take a part.
    pub fn new(channels: usize, with_agents: bool, seed: u64) -> Self {
        Self {
            english: library(Language::English),
            arabic: library(Language::Arabic),
            talks: Vec::new(),
            known: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            channels,
            invented: 0,
            with_agents,
        }
    }

    /// How many talks go on.
    pub fn talks(&self) -> usize {
        self.talks.len()
    }

    /// How long until somebody says something again: one to three seconds.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(1_000..3_000))
    }

    /// What a customer says now, and what a simulated agent should do about it.
    pub fn next(&mut self, now: Instant) -> (Option<Utterance>, Option<Wish>) {
        self.talks.retain(|talk| talk.waiting_since.is_none_or(|since| now < since + GIVE_UP_AFTER));
        let due = self.talks.iter().position(|talk| talk.is_due(now));
        // Now and then somebody new comes in between, so that a busy demo does not stop growing.
        let newcomer = self.random.random_bool(0.15);
        let at = match due {
            Some(at) if !newcomer => at,
            _ => {
                self.make_room();
                self.begin(now)
            }
        };
        self.speak(at, now)
    }

    /// Lets whoever waits longest give up, if there are too many talks: the demo goes on whether anybody answers or not.
    fn make_room(&mut self) {
        if self.talks.len() >= MAX_TALKS {
            let waiting =
                (0..).zip(&self.talks).min_by_key(|(_, talk)| (talk.waiting_since.is_none(), talk.waiting_since));
            if let Some((at, _)) = waiting {
                self.finish(at);
            }
        }
    }

    /// An agent's answer reached this customer.
    pub fn heard(&mut self, number: &str, channel: usize, now: Instant) {
        let thinking = Duration::from_millis(self.random.random_range(3_000..15_000));
        let Some(at) = self.find(number, channel) else { return };
        let Some(talk) = self.talks.get_mut(at) else { return };
        if talk.waiting_since.take().is_none() {
            return;
        }
        let dialogues = match talk.persona.language {
            Language::English => &self.english,
            Language::Arabic => &self.arabic,
        };
        let lines = dialogues.get(talk.dialogue).map(|dialogue| dialogue.lines.as_slice()).unwrap_or_default();
        while matches!(lines.get(talk.position), Some(Line::Agent(_))) {
            talk.position += 1;
        }
        talk.due_at = now + thinking;
        talk.nudged = false;
        if talk.position >= lines.len() {
            self.finish(at);
        }
    }

    fn find(&self, number: &str, channel: usize) -> Option<usize> {
        self.talks.iter().position(|talk| talk.persona.number == number && talk.channel == channel)
    }

    fn begin(&mut self, now: Instant) -> usize {
        let language = if self.random.random_bool(0.5) { Language::English } else { Language::Arabic };
        let returning = (self.random.random_bool(RETURNING_SHARE) && !self.known.is_empty()).then(|| {
            let at = self.random.random_range(0..self.known.len());
            self.known.swap_remove(at)
        });
        let (persona, channel) = returning.unwrap_or_else(|| {
            self.invented += 1;
            let channel = self.random.random_range(0..self.channels.max(1));
            (Persona::invent(language, self.invented, &mut self.random), channel)
        });
        let dialogues = match persona.language {
            Language::English => self.english.len(),
            Language::Arabic => self.arabic.len(),
        };
        let left = self.talks.iter().filter(|talk| !talk.taken_by_agents).count();
        let taken_by_agents = self.with_agents && (left >= MAX_LEFT || self.random.random_bool(TAKEN_SHARE));
        self.talks.push(Talk {
            persona,
            channel,
            dialogue: self.random.random_range(0..dialogues.max(1)),
            position: 0,
            due_at: now,
            waiting_since: None,
            nudged: false,
            taken_by_agents,
        });
        self.talks.len() - 1
    }

    fn speak(&mut self, at: usize, now: Instant) -> (Option<Utterance>, Option<Wish>) {
        let Some(talk) = self.talks.get_mut(at) else { return (None, None) };
        let (dialogues, nudges) = match talk.persona.language {
            Language::English => (&self.english, ENGLISH_NUDGES),
            Language::Arabic => (&self.arabic, ARABIC_NUDGES),
        };
        let lines = dialogues.get(talk.dialogue).map(|dialogue| dialogue.lines.as_slice()).unwrap_or_default();
        let asks_again = talk.waiting_since.is_some();
        let content = if asks_again {
            talk.nudged = true;
            talk.taken_by_agents |= self.with_agents && self.random.random_bool(HELPED_SHARE);
            Content::Text(nudges.choose(&mut self.random).copied().unwrap_or("?").to_owned())
        } else {
            let Some(Line::Customer(content)) = lines.get(talk.position) else {
                self.finish(at);
                return (None, None);
            };
            talk.position += 1;
            fill(content, &talk.persona)
        };
        let utterance = Utterance { persona: talk.persona.clone(), channel: talk.channel, content };
        let mut wish = None;
        match lines.get(talk.position) {
            None => {
                self.finish(at);
            }
            Some(Line::Customer(_)) => {
                talk.due_at = now + Duration::from_millis(self.random.random_range(2_000..7_000));
            }
            Some(Line::Agent(answer)) => {
                talk.waiting_since.get_or_insert(now);
                if talk.taken_by_agents {
                    let rest = lines.get(talk.position + 1..).unwrap_or_default();
                    wish = Some(Wish {
                        number: talk.persona.number.clone(),
                        channel: talk.channel,
                        text: talk.persona.fill(answer),
                        resolve: !rest.iter().any(|line| matches!(line, Line::Agent(_))),
                        after: Duration::from_millis(self.random.random_range(4_000..25_000)),
                    });
                }
            }
        }
        (Some(utterance), wish)
    }

    fn finish(&mut self, at: usize) {
        if at < self.talks.len() {
            let talk = self.talks.swap_remove(at);
            if self.known.len() < MAX_KNOWN {
                self.known.push((talk.persona, talk.channel));
            }
        }
    }
}

impl Talk {
    fn is_due(&self, now: Instant) -> bool {
        match self.waiting_since {
            None => self.due_at <= now,
            Some(since) => !self.nudged && since + NUDGE_AFTER <= now,
        }
    }
}

fn fill(content: &Content, persona: &Persona) -> Content {
    match content {
        Content::Text(text) => Content::Text(persona.fill(text)),
        Content::File { content_type, caption } => Content::File { content_type, caption: persona.fill(caption) },
        Content::Location { .. } => content.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_go_on_when_they_are_answered_and_talks_come_to_an_end() {
        let mut director = Director::new(2, true, 7);
        let mut now = Instant::now();
        let (mut said, mut wishes, mut pending) = (0, 0, Vec::new());
        for _ in 0..3_000 {
            now += director.pause();
            let (utterance, wish) = director.next(now);
            said += usize::from(utterance.is_some());
            wishes += usize::from(wish.is_some());
            // Everybody is answered some pauses later, by the agents or by a human.
            pending.extend(utterance.map(|utterance| (utterance.persona.number, utterance.channel)));
            if pending.len() > 5 {
                let (number, channel) = pending.remove(0);
                director.heard(&number, channel, now);
            }
        }
        assert!(said > 2_000, "{said} messages");
        assert!(wishes > 200, "{wishes} wishes");
        assert!(director.talks() <= MAX_TALKS, "talks end: {}", director.talks());
        assert!(!director.known.is_empty());
    }

    #[test]
    fn who_is_not_answered_asks_once_more_and_then_gives_up() {
        let mut director = Director::new(1, false, 3);
        let mut now = Instant::now();
        for _ in 0..2_000 {
            now += director.pause();
            director.next(now);
        }
        assert!(director.talks() <= MAX_TALKS);
        assert!(director.talks.iter().any(|talk| talk.nudged));
        now += GIVE_UP_AFTER;
        director.next(now);
        assert!(director.talks() <= 1);
    }

    #[test]
    fn the_same_seed_gives_the_same_demo() {
        let start = Instant::now();
        let play = |seed| {
            let mut director = Director::new(2, true, seed);
            (0..200_u64).map(|i| director.next(start + Duration::from_secs(2 * i))).collect::<Vec<_>>()
        };
        assert_eq!(play(5), play(5));
        assert_ne!(play(5), play(6));
    }
}
