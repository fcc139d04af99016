//! No message repeats a mangled key, certificate or password, no matter which key of which Secret holds it.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::remote::client::{Connection, Timeouts};

/// One way in which PEM text is broken on its way into a Secret.
#[derive(Debug, Clone)]
enum Mishap {
    LineEnds(&'static str),
    Cut(Index),
    Drop(Index),
    Insert(Index, Vec<u8>),
    Label(&'static str),
    Join,
    Indent,
    Mark,
    Utf16,
    Base64,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        select(vec!["", " ", "\\n", "\r", "\r\n", "\n\n", "\t"]).prop_map(Mishap::LineEnds),
        any::<Index>().prop_map(Mishap::Cut),
        any::<Index>().prop_map(Mishap::Drop),
        (any::<Index>(), proptest::collection::vec(any::<u8>(), 1..6))
            .prop_map(|(at, bytes)| Mishap::Insert(at, bytes)),
        select(vec![
            "CERTIFICATE",
            "TRUSTED CERTIFICATE",
            "RSA PRIVATE KEY",
            "X",
            ""
        ])
        .prop_map(Mishap::Label),
        Just(Mishap::Join),
        Just(Mishap::Indent),
        Just(Mishap::Mark),
        Just(Mishap::Utf16),
        Just(Mishap::Base64),
    ]
}

fn broken(mut text: Vec<u8>, mishaps: &[Mishap]) -> Vec<u8> {
    for mishap in mishaps {
        let lines = |text: &[u8]| {
            text.split(|b| *b == b'\n')
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        text = match mishap {
            Mishap::LineEnds(end) => lines(&text).join(end.as_bytes()),
            Mishap::Cut(at) if text.is_empty() => at.index(1).to_string().into_bytes(),
            Mishap::Cut(at) => text[..at.index(text.len())].to_vec(),
            Mishap::Drop(at) => {
                let mut lines = lines(&text);
                lines.remove(at.index(lines.len()));
                lines.join(&b'\n')
            }
            Mishap::Insert(at, bytes) => {
                let at = at.index(text.len() + 1);
                text.splice(at..at, bytes.iter().copied());
                text
            }
            Mishap::Label(label) => {
                let words = String::from_utf8_lossy(&text).into_owned();
                words.replace("PRIVATE KEY", label).into_bytes()
            }
            Mishap::Join => [text.trim_ascii(), text.as_slice()].concat(),
            Mishap::Indent => lines(&text).join(&b"\n    "[..]),
            Mishap::Mark => [b"\xef\xbb\xbf", text.as_slice()].concat(),
            Mishap::Utf16 => text.iter().flat_map(|byte| [*byte, 0]).collect(),
            Mishap::Base64 => {
                let coded = json!(k8s_openapi::ByteString(text));
                coded.as_str().unwrap().as_bytes().to_vec()
            }
        };
    }
    text
}

/// The messages for these contents, together with the text that a log could show.
fn told(keys: &[(&str, &[u8])]) -> String {
    let contents = |keys: &[(&str, &[u8])]| {
        let owned = |(key, value): &(&str, &[u8])| ((*key).to_owned(), value.to_vec().into());
        SeenSecret::Present(SecretData(keys.iter().map(owned).collect()))
    };
    let of = |wanted: &[&str]| {
        let some: Vec<_> = keys
            .iter()
            .filter(|(key, _)| wanted.contains(key))
            .copied()
            .collect();
        contents(&some)
    };
    let secrets = [
        ("iot-app", of(&["appId", "secret", "appKey", "accessToken"])),
        ("ca", of(&["ca.crt"])),
        ("client", of(&["tls.crt", "tls.key"])),
    ];
    let mut spec = full_spec();
    spec["tls"]["serverName"] = json!("iot.example.com");
    match assessed(&spec, &secrets) {
        Assessment::Invalid(refusal) | Assessment::Unreadable(refusal) => format!("{refusal:?}"),
        Assessment::Unread => String::new(),
        Assessment::Complete(inputs) => {
            let timeouts = Timeouts::default();
            match Connection::new(&inputs.session.endpoint, &inputs.tls, timeouts) {
                Ok(connection) => format!("{connection:?}"),
                Err(error) => {
                    let wanted = objects::platform(&spec).wanted.unwrap();
                    let refusal = unusable_tls(&wanted.spec, "iot", &error);
                    format!("{refusal:?} {error:?} {error}")
                }
            }
        }
    }
}

/// Whether `said` repeats eight characters of `secret` in a row, or four bytes of it as numbers.
fn repeats(said: &str, secret: &[u8]) -> bool {
    let text = secret
        .windows(8)
        .any(|window| std::str::from_utf8(window).is_ok_and(|window| said.contains(window)));
    let numbers = secret.windows(4).any(|window| {
        let numbers = format!("{window:?}");
        said.contains(numbers.trim_matches(['[', ']']))
    });
    text || numbers
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["iot.example.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_key_without_line_ends_is_told_of_by_secret_and_key_and_not_repeated() {
    let (certificate, key) = pair();
    for end in [" ", "", "\\n"] {
        let flat = key.trim().replace('\n', end);
        for name in ["ca.crt", "tls.crt", "tls.key"] {
            let mut keys = vec![
                ("appId", &b"a"[..]),
                ("secret", b"s"),
                ("ca.crt", certificate.as_bytes()),
                ("tls.crt", certificate.as_bytes()),
                ("tls.key", key.as_bytes()),
            ];
            keys.iter_mut().find(|(key, _)| *key == name).unwrap().1 = flat.as_bytes();
            let said = told(&keys);
            let secret = if name == "ca.crt" {
                "iot/ca"
            } else {
                "iot/client"
            };
            for part in [
                &format!("Secret {secret}: {name} "),
                "lost its line ends",
                "--from-file",
            ] {
                assert!(said.contains(part), "{said} lacks {part}");
            }
            assert!(!repeats(&said, flat.as_bytes()), "{said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_of_a_mangled_key_is_ever_shown(
        mishaps in proptest::collection::vec(mishap(), 0..4),
        other in proptest::collection::vec(mishap(), 0..3),
        name in select(KEYS.to_vec()),
        token in any::<bool>(),
    ) {
        let (certificate, key) = pair();
        let mangled = broken(key.clone().into_bytes(), &mishaps);
        let beside = broken(certificate.clone().into_bytes(), &other);
        let mut keys: Vec<(&str, &[u8])> = vec![
            ("ca.crt", &beside),
            ("tls.crt", certificate.as_bytes()),
            ("tls.key", key.as_bytes()),
        ];
        keys.extend(if token { [("appKey", &b"a"[..]), ("accessToken", b"t")] } else { [("appId", &b"a"[..]), ("secret", b"s")] });
        keys.retain(|(key, _)| *key != name);
        keys.push((name, &mangled));
        let said = told(&keys);
        // The words between the dashes are not secret, and messages use them.
        let words = |line: &&str| !line.contains("-----");
        let body: String = key.lines().filter(words).collect();
        prop_assert!(!repeats(&said, body.as_bytes()), "{}", said);
        let base64 = broken(body.into_bytes(), &[Mishap::Base64]);
        prop_assert!(!repeats(&said, &base64), "{}", said);
    }
}
