//! The size limit of bodies.

use super::*;

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_no_further() {
    let sized = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
    let fits = ResponseTemplate::new(200).set_body_string(sized(64 * 1024));
    assert_eq!(delete(&answering(fits).await.1).await.as_str(), "Unproven");
    let over = ResponseTemplate::new(200).set_body_string(sized(64 * 1024 + 1));
    let answer = delete(&answering(over).await.1).await;
    assert_eq!(answer.as_str(), "Unproven");
    assert_eq!(answer.detail().unwrap().http_status, Some(200));

    let page = |bytes: usize| {
        format!(
            r#"{{"data":[{{"description":"{}"}}],"totalCount":1}}"#,
            "y".repeat(bytes)
        )
    };
    let large = ResponseTemplate::new(200).set_body_string(page(1_000_000));
    let listed = answering(large)
        .await
        .1
        .list(&app(), &authorization(), 0)
        .await;
    assert_eq!(listed.unwrap().total_count, 1);
    let larger = ResponseTemplate::new(200).set_body_string(page(1_048_576));
    let listed = answering(larger)
        .await
        .1
        .list(&app(), &authorization(), 0)
        .await;
    assert_eq!(trouble(&listed.unwrap_err()), Trouble::Answered);
}

#[tokio::test]
async fn the_limit_of_a_compressed_body_applies_to_its_uncompressed_size() {
    let packed = |bytes: Vec<u8>| {
        ResponseTemplate::new(403)
            .insert_header("content-encoding", "gzip")
            .set_body_bytes(bytes)
    };
    let code = gzip(br#"{"resultcode":"1010009","resultmsg":"app throttle exceed."}"#);
    let answer = delete(&answering(packed(code.clone())).await.1).await;
    assert_eq!(answer.as_str(), "Throttled");

    let bomb = gzip(&vec![b' '; 32 * 1024 * 1024]);
    assert!(bomb.len() < 64 * 1024);
    let answer = delete(&answering(packed(bomb)).await.1).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    assert!(
        answer
            .detail()
            .unwrap()
            .message
            .contains("longer than the operator allows")
    );

    let mut broken = code.clone();
    broken[12] ^= 0xff;
    for damaged in [broken, code[..code.len() / 2].to_vec(), b"plain".to_vec()] {
        let answer = delete(&answering(packed(damaged)).await.1).await;
        assert_eq!(trouble(&answer), Trouble::Answered);
    }
}

#[tokio::test]
async fn an_endless_body_is_dropped_at_the_limit() {
    let ca = Ca::new();
    let (stopped, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let (address, _) = raw(&ca, move |mut stream| {
        let stopped = stopped.clone();
        async move {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let mut sent = 0_usize;
            while stream.write_all(&[b' '; 8192]).await.is_ok() {
                sent += 8192;
            }
            stopped.send(sent).unwrap();
        }
    })
    .await;
    let answer = delete(&connect(address, &ca.trusted())).await;
    assert_eq!(answer.as_str(), "Unproven");
    // The buffers of the connection come on top of the limit.
    assert!(seen.recv().await.unwrap() < 32 * 1024 * 1024);
}

#[tokio::test]
async fn a_slow_body_ends_with_the_time_limit() {
    let ca = Ca::new();
    let (address, _) = raw(&ca, |mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let answer = delete(&within(address, &ca.trusted(), hurried())).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    let detail = answer.detail().unwrap();
    assert_eq!(detail.http_status, Some(200));
    assert!(detail.message.contains("time-out"), "{detail:?}");
}

#[tokio::test]
async fn a_broken_body_leaves_the_outcome_unknown_even_with_a_200() {
    let ca = Ca::new();
    let (address, requests) = raw(&ca, |mut stream| async move {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}";
        stream.write_all(cut).await.unwrap();
        let _ = stream.shutdown().await;
    })
    .await;
    let answer = delete(&connect(address, &ca.trusted())).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    assert!(answer.detail().unwrap().message.contains("broke"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}
