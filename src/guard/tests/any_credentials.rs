//! However the groups of Platforms are split and merged, no window sends more deletions than the bound of any Platform.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::together::Fleet;
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    /// A deletion of this Platform is requested, has its turn at once, and is sent if the guard allows that.
    Send(usize),
    /// A deletion is requested and waits.
    Ask(usize),
    /// All waiting deletions are called off.
    CallOff,
    /// A Platform changes to this credential.
    Rotate(usize, u64),
    /// The platform accepts or refuses a credential.
    Prove(u64, bool),
    Record,
    Wait(i64),
    /// The next process starts, and reads the statuses before or after the Secrets.
    Restart(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..3_usize).prop_map(Step::Send),
        1 => (0..3_usize).prop_map(Step::Ask),
        2 => Just(Step::CallOff),
        3 => (0..3_usize, 1..4_u64).prop_map(|(platform, credential)| Step::Rotate(platform, credential)),
        5 => (1..4_u64, prop_oneof![3 => Just(true), 1 => Just(false)]).prop_map(|(credential, proven)| Step::Prove(credential, proven)),
        2 => Just(Step::Record),
        1 => (1..400_i64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The expected state, computed in a slow way.
struct Truth {
    credentials: [u64; 3],
    proven: BTreeSet<u64>,
    sent: Vec<Sent>,
}

#[derive(Debug)]
struct Sent {
    at: i64,
    /// The Platforms that the deletion counts for.
    counts: BTreeSet<usize>,
    /// The Platforms whose statuses contain the deletion.
    recorded: BTreeSet<usize>,
}

impl Truth {
    /// Returns the Platforms that count together with `own`.
    fn together(&self, own: usize) -> BTreeSet<usize> {
        let proven = |platform: usize| self.proven.contains(&self.credentials[platform]);
        let ties = |one: usize, other: usize| {
            self.credentials[one] == self.credentials[other] || (proven(one) && proven(other))
        };
        (0..NAMES.len()).filter(|other| ties(own, *other)).collect()
    }

    /// Extends each count from one Platform to all Platforms that count together with it. Each of these Platforms keeps
    /// the count.
    fn spread(&mut self) {
        for own in 0..NAMES.len() {
            let together = self.together(own);
            for Sent { counts, .. } in &mut self.sent {
                if !counts.is_disjoint(&together) {
                    counts.extend(&together);
                }
            }
        }
    }

    fn within(&self, own: usize, now: i64) -> usize {
        let recent = self.sent.iter().filter(|sent| sent.at > now - 600);
        recent.filter(|sent| sent.counts.contains(&own)).count()
    }

    /// Writes the statuses of all Platforms.
    fn record(&mut self) {
        for Sent {
            counts, recorded, ..
        } in &mut self.sent
        {
            recorded.clone_from(counts);
        }
    }

    /// Forgets what the statuses don't contain.
    fn restart(&mut self) {
        self.proven.clear();
        for Sent {
            counts, recorded, ..
        } in &mut self.sent
        {
            counts.clone_from(recorded);
        }
        self.spread();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_window_sends_more_than_the_bound_however_platforms_part_and_come_together(
        most in prop_oneof![Just(3), Just(25)], steps in steps()
    ) {
        let mut truth = Truth { credentials: [1, 1, 2], proven: BTreeSet::new(), sent: Vec::new() };
        let mut fleet = Fleet::of(&[("a", 1, false, most), ("b", 1, false, most), ("c", 2, false, most)]);
        let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
        let (mut now, mut last) = (1_i64, 0_usize);
        let bound = usize::try_from(most).unwrap();
        for step in steps {
            fleet.now = now;
            match step {
                Step::Ask(platform) | Step::Send(platform) => {
                    last += 1;
                    fleet.ask(NAMES[platform], last, None);
                    asked.insert(last, platform);
                    if matches!(step, Step::Send(_)) && fleet.send(NAMES[platform], last, now) {
                        asked.remove(&last);
                        let counts = truth.together(platform);
                        let recorded = counts.clone();
                        truth.sent.push(Sent { at: now, counts, recorded });
                        truth.spread();
                        let within = truth.within(platform, now);
                        prop_assert!(within <= bound, "{within} count for {} at {now}: {:?}", NAMES[platform], truth.sent);
                    }
                }
                Step::CallOff => {
                    for number in std::mem::take(&mut asked).into_keys() {
                        fleet.guards.forget(&format!("uid-{number}"));
                    }
                }
                Step::Rotate(platform, credential) => {
                    truth.credentials[platform] = credential;
                    fleet.stand(NAMES[platform], credential, truth.proven.contains(&credential));
                    truth.spread();
                }
                Step::Prove(credential, proven) => {
                    if proven { truth.proven.insert(credential); } else { truth.proven.remove(&credential); }
                    for (platform, own) in truth.credentials.into_iter().enumerate() {
                        if own == credential {
                            fleet.stand(NAMES[platform], credential, proven);
                        }
                    }
                    truth.spread();
                }
                Step::Record => {
                    fleet.record(now);
                    truth.record();
                }
                Step::Wait(seconds) => now += seconds,
                Step::Restart(early) => {
                    truth.restart();
                    let platforms: Vec<_> = (0..3).map(|own| (NAMES[own], truth.credentials[own], most)).collect();
                    let next = if early { fleet.restarted(&[]) } else { fleet.restarted(&platforms) };
                    if early {
                        next.load(now);
                        for (name, credential, most) in platforms {
                            next.stand(name, credential, false);
                            next.bound(name, most);
                        }
                    }
                    for (number, platform) in &asked {
                        next.ask(NAMES[*platform], *number, None);
                    }
                    next.guards.listed(|_| true, at(now));
                    if !early {
                        next.load(now);
                    }
                    fleet = next;
                    fleet.record(now);
                    truth.record();
                }
            }
        }
    }
}
