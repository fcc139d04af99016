//! The simulator's certificates and its TLS configuration.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::settings::ClientCert;

/// The password of `client.p12`: the usual one for test material of Java tools.
pub const PASSWORD: &str = "changeit";

const FILES: [&str; 6] = [
    "ca.crt",
    "server.crt",
    "server.key",
    "client.crt",
    "client.key",
    "client.p12",
];

/// Creates the certificates in `dir`, unless the server's files exist already.
///
/// # Errors
/// A part of the files is missing, or the folder can't be written.
pub fn prepare(dir: &Path) -> anyhow::Result<()> {
    let (there, missing): (Vec<_>, Vec<_>) =
        FILES.into_iter().partition(|name| dir.join(name).exists());
    let given = ["ca.crt", "server.crt", "server.key"];
    if given.iter().all(|name| there.contains(name)) {
        return Ok(());
    }
    if !there.is_empty() {
        bail!(
            "{} has {} but not {}: give at least {}, or an empty folder to have them made",
            dir.display(),
            there.join(", "),
            missing.join(", "),
            given.join(", "),
        );
    }
    fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    write(dir).with_context(|| format!("certificates can't be made in {}", dir.display()))
}

fn write(dir: &Path) -> anyhow::Result<()> {
    let mut ca = params(
        "simulator CA",
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
    );
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut server = params("localhost", vec![KeyUsagePurpose::DigitalSignature]);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    let server_key = KeyPair::generate()?;
    let server = server.signed_by(&server_key, &ca)?;

    let mut client = params("simulator client", vec![KeyUsagePurpose::DigitalSignature]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client_key = KeyPair::generate()?;
    let client = client.signed_by(&client_key, &ca)?;

    let mut store = KeyStore::new();
    let chain = [
        Certificate::from_der(client.der())?,
        Certificate::from_der(ca.der())?,
    ];
    let key = PrivateKey::from_der(client_key.serialized_der())?;
    let chain = PrivateKeyChain::new("client", key, chain);
    store.add_entry("client", KeyStoreEntry::PrivateKeyChain(chain));

    public(dir, "ca.crt", ca.pem().as_bytes())?;
    public(dir, "client.crt", client.pem().as_bytes())?;
    public(dir, "server.crt", server.pem().as_bytes())?;
    private(dir, "client.key", client_key.serialize_pem().as_bytes())?;
    private(dir, "client.p12", &store.writer(PASSWORD).write()?)?;
    private(dir, "server.key", server_key.serialize_pem().as_bytes())
}

fn params(name: &str, usages: Vec<KeyUsagePurpose>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = usages;
    params.use_authority_key_identifier_extension = true;
    // The long validity keeps a folder of certificates usable regardless of its age.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn public(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    save(dir, name, content, 0o644)
}

fn private(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    save(dir, name, content, 0o600)
}

fn save(dir: &Path, name: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let path = dir.join(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let written = options
        .open(&path)
        .and_then(|mut file| file.write_all(content));
    written.with_context(|| format!("{} can't be written", path.display()))
}

/// A configuration for TLS 1.2 and 1.3 with HTTP/1.1, with or without ALPN.
///
/// # Errors
/// A file can't be read, or key and certificate don't belong together.
pub fn server_config(dir: &Path, client_cert: ClientCert) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let roots = || {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(dir, "ca.crt")? {
            roots
                .add(certificate)
                .context("ca.crt isn't a certificate of a CA")?;
        }
        anyhow::Ok(WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider,
        ))
    };
    let builder = match client_cert {
        ClientCert::Required => builder.with_client_cert_verifier(roots()?.build()?),
        ClientCert::Requested => {
            builder.with_client_cert_verifier(roots()?.allow_unauthenticated().build()?)
        }
        ClientCert::None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key"))
        .map_err(|error| anyhow::anyhow!("server.key can't be read: {error}"))?;
    let mut config = builder
        .with_single_cert(certificates(dir, "server.crt")?, key)
        .context("server.crt and server.key can't be used")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(dir: &Path, name: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(dir.join(name))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("{name} can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path()).unwrap();
        let first = fs::read(dir.path().join("client.p12")).unwrap();
        prepare(dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("client.p12")).unwrap(), first);
        for kind in [
            ClientCert::Required,
            ClientCert::Requested,
            ClientCert::None,
        ] {
            server_config(dir.path(), kind).unwrap();
        }
    }

    #[test]
    fn a_folder_with_half_of_the_files_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path()).unwrap();
        fs::remove_file(dir.path().join("server.key")).unwrap();
        let message = prepare(dir.path()).unwrap_err().to_string();
        assert!(message.contains("not server.key"), "{message}");
    }
}
