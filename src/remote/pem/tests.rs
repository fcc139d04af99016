use super::*;

/// Three self-signed certificates and the private key of the first.
fn made() -> ([String; 3], String) {
    let one = || rcgen::generate_simple_self_signed(vec!["iot.example.com".to_owned()]).unwrap();
    let first = one();
    (
        [first.cert.pem(), one().cert.pem(), one().cert.pem()],
        first.signing_key.serialize_pem(),
    )
}

fn read(text: &str) -> Result<usize, PemFault> {
    certificates(text.as_bytes()).map(|all| all.len())
}

#[test]
fn bundles_are_read_whatever_joins_labels_and_comments_them() {
    let ([a, b, c], key) = made();
    let joined = [a.trim(), b.trim(), c.trim()].concat();
    let marked = format!("\u{feff}{a}\u{feff}{b}");
    let glued = format!("{}\u{feff}{}", a.trim(), b);
    let windows = format!("{a}{b}").replace('\n', "\r\n");
    let old_mac = a.replace('\n', "\r");
    let commented = format!("subject=CN = a: b\n{a}\n# and\nBag Attributes\n    x: y\n{b}the end");
    let indented = format!("{a}{b}").replace('\n', "\n    ");
    let blanks = a.replace('\n', " \t\n");
    let old = a.replace("CERTIFICATE-----", "X509 CERTIFICATE-----");
    let long = a
        .replace('\n', "")
        .replace("E-----", "E-----\n")
        .replace("-----END", "\n-----END");
    let with_key = format!("{key}{a}");
    let headers = a.replacen("E-----\n", "E-----\nComment: mine\n goes on\n\n", 1);
    for (text, number) in [
        (joined, 3),
        (marked, 2),
        (glued, 2),
        (windows, 2),
        (old_mac, 1),
        (commented, 2),
        (indented, 2),
        (blanks, 1),
        (old, 1),
        (long, 1),
        (with_key, 1),
        (headers, 1),
        (format!("{a}{a}{b}"), 3),
    ] {
        assert_eq!(read(&text), Ok(number), "{text}");
    }
    assert_eq!(
        certificates(a.as_bytes()).unwrap(),
        certificates(a.replace('\n', "\r\n").as_bytes()).unwrap()
    );
}

#[test]
fn each_usual_mistake_has_its_own_fault() {
    let ([a, b, _], key) = made();
    let coded = serde_json::json!(k8s_openapi::ByteString(a.clone().into_bytes()));
    let utf16: Vec<u8> = a.bytes().flat_map(|byte| [byte, 0]).collect();
    let der = certificates(a.as_bytes()).unwrap();
    for (text, fault) in [
        (b"".to_vec(), PemFault::NoBlock),
        (b"hunter2".to_vec(), PemFault::NoBlock),
        (a.replace('\n', " ").into_bytes(), PemFault::NoLineEnds),
        (a.replace('\n', "").into_bytes(), PemFault::NoLineEnds),
        (a.replace('\n', "\\n").into_bytes(), PemFault::NoLineEnds),
        (
            format!("x{}", a.replace('\n', " ")).into_bytes(),
            PemFault::NoLineEnds,
        ),
        (a.as_bytes()[..200].to_vec(), PemFault::NoEnd),
        (format!("{}{b}", &a[..200]).into_bytes(), PemFault::NoEnd),
        (
            a.replace("-----END C", "-----END X").into_bytes(),
            PemFault::NoEnd,
        ),
        (
            a.replacen("E-----", "E----", 1).into_bytes(),
            PemFault::NoEnd,
        ),
        (a.replacen('M', "ü", 1).into_bytes(), PemFault::NotBase64),
        (
            coded.as_str().unwrap().as_bytes().to_vec(),
            PemFault::Base64Twice,
        ),
        (utf16, PemFault::Utf16),
        (der[0].to_vec(), PemFault::Binary),
        (key.clone().into_bytes(), PemFault::KeyForCertificate),
        (
            a.replace("CERTIFICATE", "PKCS7").into_bytes(),
            PemFault::OtherBlocks,
        ),
        (
            a.replace("CERTIFICATE", "TRUSTED CERTIFICATE")
                .replacen("MII", "AAA", 1)
                .into_bytes(),
            PemFault::BadCertificate(1),
        ),
    ] {
        let text_shown = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(
            certificates(&text).map(|all| all.len()),
            Err(fault),
            "{text_shown}"
        );
    }
}

#[test]
fn keys_are_read_in_all_forms_and_an_encrypted_key_is_recognised() {
    let ([a, ..], whole) = made();
    assert!(key(whole.as_bytes()).is_ok());
    assert!(key(format!("\u{feff}{a}{whole}").as_bytes()).is_ok());
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(key(format!("{parameters}{whole}").as_bytes()).is_ok());
    let locked = whole.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let headed = whole.replace("PRIVATE KEY", "RSA PRIVATE KEY").replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
        1,
    );
    for (text, fault) in [
        (locked, PemFault::Locked),
        (headed, PemFault::Locked),
        (a, PemFault::CertificateForKey),
        (parameters.to_owned(), PemFault::OtherBlocks),
        (whole.replace('\n', " "), PemFault::NoLineEnds),
        (String::new(), PemFault::NoBlock),
    ] {
        assert_eq!(key(text.as_bytes()).unwrap_err(), fault);
    }
}

/// A certificate with trust settings after it, as `openssl x509 -trustout` writes it.
fn trusted(settings: &[u8]) -> String {
    let ([a, ..], _) = made();
    let mut der = certificates(a.as_bytes()).unwrap().remove(0).to_vec();
    der.extend(settings);
    let coded = serde_json::json!(k8s_openapi::ByteString(der));
    format!(
        "-----BEGIN TRUSTED CERTIFICATE-----\n{}\n-----END TRUSTED CERTIFICATE-----\n",
        coded.as_str().unwrap()
    )
}

#[test]
fn the_trust_settings_of_a_certificate_are_honoured() {
    const SERVERS: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const CLIENTS: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    let list = |tag: u8, oid: [u8; 10]| [&[0x30, 0x0c, tag, 0x0a][..], &oid].concat();
    for (settings, read_as) in [
        (vec![], Ok(1)),
        (vec![0x30, 0x00], Ok(1)),
        (list(0x30, SERVERS), Ok(1)),
        (list(0x30, CLIENTS), Err(PemFault::NotForServers(1))),
        (list(0xa0, CLIENTS), Ok(1)),
        (list(0xa0, SERVERS), Err(PemFault::NotForServers(1))),
        (vec![0x31, 0x05], Err(PemFault::BadCertificate(1))),
    ] {
        assert_eq!(read(&trusted(&settings)), read_as, "{settings:?}");
    }
}
