//! The reasons of a `Platform`'s conditions.

use crate::api::reason::Progress;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $progress:ident, $todo:literal;)+) => {
        /// The reason why a `Platform` is ready or not: the `reason` of its conditions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PlatformReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl PlatformReason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason in CamelCase, as conditions, events, metrics and logs spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The kstatus result of this reason.
            pub fn progress(self) -> Progress {
                match self { $(Self::$name => Progress::$progress,)+ }
            }

            /// What it means, in one sentence for `docs/reasons.md`.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// What a person can do about it, in one sentence for `docs/reasons.md`.
            pub fn what_to_do(self) -> &'static str {
                match self { $(Self::$name => $todo,)+ }
            }
        }
    };
}

reasons! {
    /// Credentials and certificates are readable, and the platform has refused none of them.
    Available: Done, "Nothing.";
    /// As `Available`, in mode `Observe`: no DELETE is sent.
    Observing: Done, "Set `spec.mode: Enforce` when packages are to be deleted.";
    /// The platform refused a call because the application made too many; the session pauses.
    Throttled: Reconciling, "Nothing; if it lasts, find who else uses the application, or lower `spec.quota.calls`.";
    /// The platform doesn't answer, or not in an understandable way; the operator retries with growing pauses.
    PlatformUnavailable: Reconciling, "Nothing; if it lasts, look at the network, the NetworkPolicy and the platform.";
    /// A mass deletion waits for a person: `status.hold` says how many and since when.
    MassDeletionHeld: Stalled, "Release it with `vpo hold release ID` if all of it is meant, else take it back with `vpo hold retain ID`; a plain revert in Git takes nothing back. The hold is also released at once if you raise the bound that was exceeded, and raise it far enough.";
    /// The `Platform` is being deleted, but objects still need it.
    InUse: Reconciling, "Delete those objects or set them to `deletionPolicy: Retain`; or give the `Platform` up with the annotation `iodm.dev/abandon` set to its uid.";
    /// The endpoint is not an https URL of the allowed form.
    EndpointInvalid: Stalled, "Mend `spec.endpoint`.";
    /// A Secret that the `Platform` names doesn't exist.
    SecretNotFound: Stalled, "Create the Secret named in the message, in the namespace of the `Platform`.";
    /// The operator has no right to read a Secret that the Platform names.
    SecretForbidden: Stalled, "Mend the name of the Secret in the spec, or add that name to the Role of `manifests/platform-access` in this namespace: the message has the commands.";
    /// The API server can't show a Secret that the Platform names.
    SecretUnreadable: Stalled, "Look at the API server; the message quotes its answer.";
    /// A Secret lacks a key, or the value of a key can't be used.
    SecretInvalid: Stalled, "Mend the key of the Secret that the message names.";
    /// The platform's certificate isn't trusted, because of its issuer, its validity, its names or its purpose.
    CertificateNotTrusted: Stalled, "The message says which, and what helps: `spec.tls.caSecretRef`, `spec.tls.serverName`, or a new certificate.";
    /// The platform demands a client certificate, or refuses the presented one.
    ClientCertificateRefused: Stalled, "Put a certificate that the platform accepts into the Secret of `spec.tls.clientCertSecretRef`.";
    /// The endpoint speaks no TLS, or shares no TLS parameters with the operator.
    TlsMismatch: Stalled, "Mend `spec.endpoint`, or have TLS 1.2 or newer switched on there: the message says what is missing.";
    /// The platform refused the credentials.
    AuthenticationFailed: Stalled, "Put the right `appId` and `secret`, or a token that hasn't expired, into the Secret of `spec.credentialsSecretRef`.";
    /// The token in the Secret is not used, since a login of the same application works.
    TokenNotUsed: Stalled, "Give this `Platform` the credentials of the Secret that the message names.";
    /// A login uses the only call that the quota allows in a window, and its token expires before the next window, so no call can be made.
    QuotaTooSmall: Stalled, "Raise `spec.quota.calls` to 2 or more, or have the platform give tokens that live longer than `spec.quota.window`.";
    /// The platform refuses the application itself: it is frozen, unknown or lacks the right.
    ApplicationRefused: Stalled, "The owner of the application has to ask whoever runs the platform about the code in the message.";
    /// A login, or several calls in a row, got an answer that the platform doesn't document and that proves nothing.
    UnexpectedAnswer: Stalled, "Compare `spec.endpoint` with the platform's, and look at proxies and gateways on the way.";
    /// The finalizer of the `Platform` can't be written, so no object may rely on it.
    FinalizerRefused: Stalled, "Give the operator the ClusterRole of its version, or mend the admission policy that the message names.";
    /// The status of the `Platform` can't be written: the API server or an admission policy refuses the write, or it fails again and again. Deletions that the guard of the `Platform` has to count are not sent.
    StatusRefused: Stalled, "Give the operator the ClusterRole of its version, or mend the admission policy that the message names.";
    /// The outcome of a deletion can't be written to the audit log; until it is written, nothing is sent.
    AuditFailed: Stalled, "Give the operator disk space and the right to write its audit log: the message says what fails.";
    /// The `Platform` was written while its `CustomResourceDefinition` lacked fields, so the values of these fields are lost.
    FieldsLost: Stalled, "Look at the spec; then edit it, or set the annotation `iodm.dev/confirm` to the uid of the `Platform`.";
    /// The operator can't trust its watches of the cluster, or can't hold its Lease; it sends no call that depends on them.
    Blind: Reconciling, "Look at the API server and at the rights of the operator: the message says what fails.";
    /// The object can't be decoded as a `Platform` of this version.
    Undecodable: Stalled, "Mend the field named in the message.";
}
