//! No text and no log line shows a secret.

use super::*;

#[tokio::test]
async fn no_debug_text_shows_a_secret() {
    let body = format!(r#"{{"accessToken":"{TOKEN}"}}"#);
    let (_mock, connection) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    let login = connection.login(&app(), &secret()).await.unwrap();
    let echo = format!(r#"{{"resultcode":"1010005","resultmsg":"{TOKEN} and {SECRET} are bad"}}"#);
    let (_mock, echoing) = answering(ResponseTemplate::new(403).set_body_string(echo)).await;
    let deleted = delete(&echoing).await;
    let refused = echoing.login(&app(), &secret()).await;
    assert!(!format!("{login:?} {connection:?} {deleted:?}").contains(TOKEN));
    // The secret of the login isn't shown either, whichever answer repeats it.
    assert!(!format!("{connection:?} {refused:?} {deleted:?}").contains(SECRET));
}

#[tokio::test]
async fn other_and_earlier_values_of_the_secret_are_hidden_in_each_answer() {
    let before: Vec<String> = (0..9)
        .map(|number| format!("unused-token-{number}"))
        .collect();
    let said = before.join(" ");
    let echo = format!(r#"{{"resultcode":"1010005","resultmsg":"{said}"}}"#);
    let (_mock, connection) = answering(ResponseTemplate::new(403).set_body_string(echo)).await;
    for secret in &before {
        connection.hide(vec![secret.clone().into()]);
    }
    connection.hide(vec![before[1].clone().into()]);
    let told = format!(
        "{:?} {:?}",
        delete(&connection).await,
        connection.login(&app(), &secret()).await
    );
    for secret in &before[1..] {
        assert!(!told.contains(&**secret), "{told}");
    }
    assert!(
        told.contains(&*before[0]),
        "the last eight are known: {told}"
    );
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_shows_a_secret_even_at_the_finest_level() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _scope = tracing::subscriber::set_default(subscriber);
    let body = format!(r#"{{"accessToken":"{TOKEN}"}}"#);
    let (mock, connection) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    connection.login(&app(), &secret()).await.unwrap();
    assert_eq!(delete(&connection).await.as_str(), "Unproven");
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
    tracing::info!("done");
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("done"));
    for hidden in [TOKEN, SECRET, "hunter2"] {
        assert!(!text.contains(hidden), "{text}");
    }
}
