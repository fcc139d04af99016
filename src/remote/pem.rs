//! A tolerant PEM reader: it accepts what openssl accepts. Errors repeat nothing of the text, which may be a private
//! key under the wrong name.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretSlice};
use x509_parser::asn1_rs::{Any, Class, FromDer, Sequence, Tag};
use x509_parser::parse_x509_certificate;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// `-----BEGIN` in base64.
const BEGIN_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";

/// The reason why a text can't be used. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemFault {
    /// The text is UTF-16.
    Utf16,
    /// The text is in binary form (DER or PKCS#12).
    Binary,
    /// The text is the base64 encoding of PEM.
    Base64Twice,
    /// The text has no PEM block.
    NoBlock,
    /// The line ends are missing.
    NoLineEnds,
    /// A block has no END line, or its END line has another label.
    NoEnd,
    /// The content of a block isn't base64.
    NotBase64,
    /// There are private keys but no certificate.
    KeyForCertificate,
    /// There are certificates but no private key.
    CertificateForKey,
    /// There are blocks, but none of the needed kind.
    OtherBlocks,
    /// The private key is encrypted with a password.
    Locked,
    /// The certificate with this number, counted from 1, can't be parsed.
    BadCertificate(usize),
    /// The certificate with this number, counted from 1, has trust settings that exclude servers.
    NotForServers(usize),
    /// The kind of the private key isn't supported.
    KindOfKey,
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 => f.write_str("is UTF-16 text, as some Windows tools write it; save it as UTF-8"),
            Self::Binary => f.write_str("is in binary form (DER or PKCS#12); openssl x509 -inform der, openssl pkey -inform der and openssl pkcs12 make PEM of it"),
            Self::Base64Twice => f.write_str("is encoded in base64 twice: encode it once under data of a Secret, and not at all under stringData or with --from-file"),
            Self::NoBlock => f.write_str("holds nothing in PEM form, which has lines like -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"),
            Self::NoLineEnds => f.write_str("has lost its line ends, as happens in an environment variable and with --from-literal; create the Secret with --from-file"),
            Self::NoEnd => f.write_str("has a BEGIN line without the END line that belongs to it: it was cut off, or a line was changed"),
            Self::NotBase64 => f.write_str("has something between a BEGIN and its END line that isn't base64"),
            Self::KeyForCertificate => f.write_str("holds a private key, and no certificate: take it out, since a key belongs under tls.key alone"),
            Self::CertificateForKey => f.write_str("holds a certificate, and no private key"),
            Self::OtherBlocks => f.write_str("holds PEM, but neither a certificate nor a private key that can be used"),
            Self::Locked => f.write_str("holds a private key with a password, which nobody can type here: openssl pkey -in FILE -out OTHER takes it off"),
            Self::BadCertificate(number) => write!(f, "holds a certificate that can't be read as one: number {number}"),
            Self::NotForServers(number) => write!(f, "holds a TRUSTED CERTIFICATE, number {number}, whose own trust settings forbid it for servers"),
            Self::KindOfKey => f.write_str("holds a private key of a kind that can't be used: RSA of 2048 to 8192 bits, ECDSA (P-256, P-384, P-521) and Ed25519 can"),
        }
    }
}

/// The kinds of PEM block that this reader distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Certificate,
    /// A certificate followed by its trust settings, as openssl writes it.
    TrustedCertificate,
    Key(&'static str),
    LockedKey,
    Other,
}

impl Kind {
    fn of(label: &[u8]) -> Self {
        match label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => Self::Certificate,
            b"TRUSTED CERTIFICATE" => Self::TrustedCertificate,
            b"PRIVATE KEY" => Self::Key("PRIVATE KEY"),
            b"RSA PRIVATE KEY" => Self::Key("RSA PRIVATE KEY"),
            b"EC PRIVATE KEY" => Self::Key("EC PRIVATE KEY"),
            b"ENCRYPTED PRIVATE KEY" => Self::LockedKey,
            _ => Self::Other,
        }
    }

    fn is_certificate(self) -> bool {
        matches!(self, Self::Certificate | Self::TrustedCertificate)
    }

    fn is_key(self) -> bool {
        matches!(self, Self::Key(_) | Self::LockedKey)
    }
}

/// One PEM block: its kind, and its base64 without white space.
struct Block {
    kind: Kind,
    base64: SecretSlice<u8>,
}

impl Block {
    /// The block in the form that the PEM library parses.
    fn canonical(&self, label: &str) -> SecretSlice<u8> {
        let mut text = format!("-----BEGIN {label}-----\n").into_bytes();
        text.extend(self.base64.expose_secret());
        text.extend(format!("\n-----END {label}-----\n").bytes());
        text.into()
    }

    fn certificate(&self, number: usize) -> Result<CertificateDer<'static>, PemFault> {
        let pem = self.canonical("CERTIFICATE");
        let der =
            CertificateDer::from_pem_slice(pem.expose_secret()).map_err(|_| PemFault::NotBase64)?;
        if self.kind != Kind::TrustedCertificate {
            return Ok(der);
        }
        let bad = PemFault::BadCertificate(number);
        let (settings, _) = parse_x509_certificate(&der).map_err(|_| bad)?;
        if !settings.is_empty() && !serves_servers(settings).ok_or(bad)? {
            return Err(PemFault::NotForServers(number));
        }
        let length = der.len() - settings.len();
        Ok(der.get(..length).ok_or(bad)?.to_vec().into())
    }
}

/// All certificates of a text, at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let blocks = blocks(text)?;
    let found = blocks.iter().filter(|block| block.kind.is_certificate());
    let read = found
        .enumerate()
        .map(|(index, block)| block.certificate(index + 1))
        .collect::<Result<Vec<_>, _>>()?;
    match read.is_empty() {
        false => Ok(read),
        true if blocks.iter().any(|block| block.kind.is_key()) => Err(PemFault::KeyForCertificate),
        true => Err(PemFault::OtherBlocks),
    }
}

/// The first private key of a text.
pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    let blocks = blocks(text)?;
    let Some(block) = blocks.iter().find(|block| block.kind.is_key()) else {
        let certificates = blocks.iter().any(|block| block.kind.is_certificate());
        return Err(if certificates {
            PemFault::CertificateForKey
        } else {
            PemFault::OtherBlocks
        });
    };
    match block.kind {
        Kind::Key(label) => {
            let pem = block.canonical(label);
            PrivateKeyDer::from_pem_slice(pem.expose_secret()).map_err(|_| PemFault::NotBase64)
        }
        Kind::LockedKey | Kind::Certificate | Kind::TrustedCertificate | Kind::Other => {
            Err(PemFault::Locked)
        }
    }
}

/// All blocks of a text, at least one. Text outside of blocks is skipped, as are a byte order mark, white space at both
/// ends of a line, and headers of a block. The line end between two joined files may be missing.
fn blocks(text: &[u8]) -> Result<Vec<Block>, PemFault> {
    let mut blocks = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let mut line = trimmed(line);
        if let Some(block) = &mut open {
            let Some(after) = line.strip_prefix(END) else {
                block.line(line)?;
                continue;
            };
            let after = after.strip_prefix(block.label).ok_or(PemFault::NoEnd)?;
            let after = after.strip_prefix(DASHES).ok_or(PemFault::NoEnd)?;
            blocks.extend(open.take().map(Open::close));
            // Two files were joined without a line end: the next block begins on this line.
            line = position(after, BEGIN).map_or(&[][..], |at| &after[at..]);
        }
        if let Some(after) = line.strip_prefix(BEGIN) {
            open = Some(Open::new(label(after)?));
        }
    }
    match (open, blocks.is_empty()) {
        (Some(_), _) => Err(PemFault::NoEnd),
        (None, false) => Ok(blocks),
        (None, true) => Err(without_blocks(text)),
    }
}

/// A block whose END line hasn't come yet.
struct Open<'a> {
    label: &'a [u8],
    base64: Vec<u8>,
    /// Whether the next line may be a header.
    head: bool,
    headers: bool,
}

impl<'a> Open<'a> {
    fn new(label: &'a [u8]) -> Self {
        Self {
            label,
            base64: Vec::new(),
            head: true,
            headers: false,
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), PemFault> {
        if position(line, DASHES).is_some() {
            return Err(PemFault::NoEnd);
        }
        // An empty line ends the headers; a header may continue on further lines.
        if self.head && line.contains(&b':') {
            self.headers = true;
        } else if line.is_empty() {
            self.head = false;
        } else if !(self.head && self.headers) {
            self.head = false;
            let visible = line.iter().filter(|byte| !byte.is_ascii_whitespace());
            self.base64.extend(visible);
        }
        Ok(())
    }

    fn close(self) -> Block {
        let kind = match Kind::of(self.label) {
            // Only an encrypted key has headers.
            Kind::Key(_) if self.headers => Kind::LockedKey,
            kind => kind,
        };
        Block {
            kind,
            base64: self.base64.into(),
        }
    }
}

/// The label of a BEGIN line; `after` is the text after `-----BEGIN `. If more text follows the dashes after the label,
/// a line end is missing.
fn label(after: &[u8]) -> Result<&[u8], PemFault> {
    let end = position(after, DASHES).ok_or(PemFault::NoEnd)?;
    let (label, rest) = after.split_at(end);
    if rest == DASHES {
        Ok(label)
    } else {
        Err(PemFault::NoLineEnds)
    }
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(BYTE_ORDER_MARK)
        .map_or(line, <[u8]>::trim_ascii)
}

/// The fault of a text without PEM blocks.
fn without_blocks(text: &[u8]) -> PemFault {
    let contains = |part: &[u8]| position(text, part).is_some();
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || contains(b"-\0-\0-\0") {
        PemFault::Utf16
    } else if text.starts_with(&[0x30, 0x82]) || text.starts_with(&[0x30, 0x81]) {
        PemFault::Binary
    } else if contains(BEGIN_IN_BASE64) {
        PemFault::Base64Twice
    } else if contains(BEGIN) {
        PemFault::NoLineEnds
    } else {
        PemFault::NoBlock
    }
}

/// Whether the trust settings of a certificate allow servers; `None` where the settings can't be parsed.
fn serves_servers(settings: &[u8]) -> Option<bool> {
    const SERVERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const EVERYTHING: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
    let (_, all) = Sequence::from_der(settings).ok()?;
    let mut rest: &[u8] = &all.content;
    let mut trusted = true;
    while !rest.is_empty() {
        let (after, part) = Any::from_der(rest).ok()?;
        let lists = |oid: &[u8]| position(part.data, oid).is_some();
        let named = lists(SERVERS) || lists(EVERYTHING);
        if part.header.tag() == Tag::Sequence {
            trusted &= named;
        } else if part.header.class() == Class::ContextSpecific && part.header.tag() == Tag(0) {
            trusted &= !named;
        }
        rest = after;
    }
    Some(trusted)
}

#[cfg(test)]
mod tests;
