use tokio::time::Instant;

use super::*;

/// A work queue with one object in it.
fn queue() -> Workqueue {
    let queue = Workqueue::new(|_| None);
    queue.add(ObjectKey::new("fleet", "meter"));
    queue
}

#[tokio::test(start_paused = true)]
async fn a_standby_waits_for_no_pass_when_it_stops() {
    let (cancel, began) = (CancellationToken::new(), Instant::now());
    assert!(finish(None, cancel.cancelled(), &cancel).await);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_waits_for_the_passes_under_way_but_not_for_ever() {
    let (queue, cancel, began) = (queue(), CancellationToken::new(), Instant::now());
    let pass = async {
        let key = queue.next().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!cancel.is_cancelled(), "a pass is under way");
        queue.done(&key, None);
    };
    let (ended, ()) = tokio::join!(finish(Some(&queue), cancel.cancelled(), &cancel), pass);
    assert!(ended);
    assert_eq!(began.elapsed(), Duration::from_secs(1));

    let (queue, cancel, began) = (self::queue(), CancellationToken::new(), Instant::now());
    assert!(!finish(Some(&queue), cancel.cancelled(), &cancel).await);
    assert_eq!(began.elapsed(), FINISH);
    assert!(cancel.is_cancelled(), "what waits for it ends all the same");
}
