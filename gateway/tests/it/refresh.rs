//! The family of refresh tokens as a state machine: two honest clients and a thief, in any order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateway::auth::refresh::{GRACE, RefreshError, RefreshTokens};
use gateway::directory::Directory;
use gateway::directory::sessions::SessionRecord;
use proptest::prelude::*;
use schemas::{SessionId, UserId, WorkspaceId};
use storage::clock::{Clock, ManualClock};
use storage::tables::memory::MemoryTables;

struct Family {
    directory: Directory,
    clock: Arc<ManualClock>,
    tokens: RefreshTokens,
    session_id: SessionId,
    first: String,
}

impl Family {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T09:00:00Z".parse().unwrap()));
        let directory = Directory::new(Arc::new(MemoryTables::new()), Arc::clone(&clock) as _);
        let now = clock.now();
        let tokens = RefreshTokens::new([5; 32]);
        let session_id = SessionId::new(now, &[1; 10]);
        let (first, current_hash) = tokens.first(session_id);
        let session = SessionRecord {
            id: session_id,
            user_id: UserId::new(now, &[1; 10]),
            workspace_id: WorkspaceId::new(now, &[1; 10]),
            created_at: now,
            last_used_at: now,
            expires_at: now.after(Duration::from_hours(24)),
            idle_s: 3_600,
            current_hash,
            previous_hash: None,
            revoked: false,
        };
        directory.create_session(&session).await.unwrap();
        Self { directory, clock, tokens, session_id, first }
    }

    async fn rotate(&self, token: &str) -> Result<String, RefreshError> {
        self.tokens.rotate(&self.directory, self.clock.now(), token).await.map(|(token, _)| token)
    }

    async fn is_alive(&self) -> bool {
        let (session, _) = self.directory.session(self.session_id).await.unwrap().unwrap();
        session.is_alive(self.clock.now())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_refreshes_at_once_give_one_successor() {
    let family = Arc::new(Family::new().await);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let family = Arc::clone(&family);
        running.spawn(async move { family.rotate(&family.first).await });
    }
    let mut successors = BTreeSet::new();
    while let Some(result) = running.join_next().await {
        match result.unwrap() {
            Ok(token) => drop(successors.insert(token)),
            Err(RefreshError::Contended) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(successors.len(), 1);
    assert!(family.is_alive().await);
}

#[tokio::test]
async fn a_token_that_was_never_made_ends_nothing() {
    let family = Family::new().await;
    let (forged, _) = RefreshTokens::new([6; 32]).first(family.session_id);
    for token in ["", "rt_", "rt_AAAA", forged.as_str()] {
        assert!(matches!(family.rotate(token).await, Err(RefreshError::Invalid)));
    }
    assert!(family.is_alive().await);
}

/// What happens next: somebody presents their token, a thief copies one, or time passes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Honest,
    /// The honest client's answer is lost: it presents the same token again.
    HonestTwice,
    Steal,
    Thief,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Honest),
        2 => Just(Step::HonestTwice),
        1 => Just(Step::Steal),
        2 => Just(Step::Thief),
        2 => (0..30_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// At most one token is good beyond the grace; once thief and owner have both used what they hold, and the grace is
    /// over, the sign-in is dead.
    #[test]
    fn a_theft_is_noticed_at_the_next_use_of_the_other(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let family = Family::new().await;
            let mut honest = family.first.clone();
            let mut stolen: Option<String> = None;
            let mut forked = false;
            for step in steps {
                match step {
                    Step::Wait(seconds) => family.clock.advance(Duration::from_secs(seconds)),
                    Step::Steal => stolen = Some(honest.clone()),
                    Step::Honest => {
                        if let Ok(next) = family.rotate(&honest).await {
                            honest = next;
                        }
                    }
                    Step::HonestTwice => {
                        let (one, two) = (family.rotate(&honest).await, family.rotate(&honest).await);
                        if let (Ok(one), Ok(two)) = (one, two) {
                            assert_eq!(one, two);
                            honest = one;
                        }
                    }
                    Step::Thief => {
                        if let Some(token) = stolen.clone() && let Ok(next) = family.rotate(&token).await {
                            stolen = Some(next);
                        }
                    }
                }
                // They hold different tokens of one chain: one of them is behind.
                forked = stolen.as_ref().is_some_and(|token| *token != honest);
            }
            family.clock.advance(GRACE + Duration::from_secs(1));
            if forked && family.is_alive().await {
                let thief = stolen.unwrap();
                let results = [family.rotate(&honest).await.is_ok(), family.rotate(&thief).await.is_ok()];
                assert!(results != [true, true], "two tokens are good");
                family.clock.advance(GRACE + Duration::from_secs(1));
                drop(family.rotate(&honest).await);
                assert!(!family.is_alive().await, "the theft was not noticed");
            }
        });
    }
}
