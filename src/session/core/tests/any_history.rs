//! Random histories of requests, answers, secrets and limits.

use super::*;

#[test]
fn the_state_machine_never_breaks_its_promises_whatever_happens() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut bench = Bench::new(30);
        let mut calls: Vec<Underway> = Vec::new();
        let mut ends: Vec<Instant> = Vec::new();
        bench.core.want_spare(LANE);
        for _ in 0..600 {
            let n = rng.usize(0..60);
            match rng.u8(0..13) {
                0..4 => {
                    bench.ask(n);
                }
                4 => bench.core.withdraw(LANE, &format!("u{n}")),
                5 => {
                    let secret = ["s1", "s2"][rng.usize(0..2)];
                    if rng.u8(0..10) == 0 {
                        let limit = rng.usize(10..40);
                        bench
                            .core
                            .agree(LANE, terms(limit, secret), rng.bool(), bench.now);
                    }
                }
                6..8 => calls.extend(bench.try_begin(n)),
                8 | 9 => {
                    if let Some(call) = calls.pop() {
                        let answer = random_answer(&mut rng);
                        ends.push(bench.now);
                        bench.core.ended(&call, answer.as_ref(), bench.now);
                    }
                }
                10 => {
                    if !bench.logins.is_empty() {
                        ends.push(bench.now);
                        if rng.u8(0..3) > 0 {
                            bench.log_in(rng.u64(0..200));
                        } else {
                            let answer = random_answer(&mut rng).unwrap_or(Answer::Done(200));
                            bench.end_login(Err(answer));
                        }
                    }
                }
                11 => {
                    let waited = bench.core.waiting(LANE);
                    let used = bench.core.calls_in_window(bench.now);
                    let half = bench.core.limit(bench.now).div_ceil(2);
                    if let Some(call) = bench.begin_spare() {
                        assert_eq!(waited, 0, "somebody waits, seed {seed}");
                        assert!(used < half, "seed {seed}: {used} of {half}");
                        calls.push(call);
                    }
                }
                _ => bench.pass(Duration::from_millis(rng.u64(1..4000))),
            }
            bench.settle();
            assert!(bench.logins.len() <= 1, "logins overlap, seed {seed}");
            let out = calls.len() + bench.permits() + bench.logins.len();
            assert_eq!(out, bench.core.budget.in_flight(), "seed {seed}");
            assert!(out <= 20);
            assert!(bench.next.is_none_or(|next| next > bench.now));
        }
        // After any history, a session whose calls are answered comes to serve all objects.
        for call in calls {
            bench.end(&call, &Answer::Done(200));
        }
        for n in 0..60 {
            bench.ask(n);
        }
        let mut left: Vec<usize> = (0..60).collect();
        for _ in 0..20_000 {
            if !bench.logins.is_empty() {
                bench.log_in(3600);
            }
            let holders: Vec<_> = left
                .iter()
                .copied()
                .filter(|n| bench.permitted(*n))
                .collect();
            for n in &holders {
                bench.call(*n, &Answer::Done(200));
            }
            left.retain(|n| !holders.contains(n));
            if left.is_empty() {
                break;
            }
            for n in &left {
                bench.ask(*n);
            }
            if holders.is_empty() && bench.logins.is_empty() {
                bench.wait();
            }
        }
        assert!(
            left.is_empty(),
            "seed {seed}: {left:?}, {:?}",
            bench.core.state(LANE, bench.now)
        );
    }
}
