//! Why a `Platform` is ready or not.

use crate::api::reason::Progress;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $progress:ident, $todo:literal;)+) => {
        /// Why a `Platform` is ready or not: the `reason` of its conditions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PlatformReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl PlatformReason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The CamelCase word used everywhere.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Which conditions belong to this reason.
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
    /// Credentials and certificates are readable, and the platform has refused nothing.
    Available: Done, "Nothing.";
    /// The same, in mode `Observe`: no DELETE is sent.
    Observing: Done, "Set `spec.mode: Enforce` when packages are to be deleted.";
    /// The platform refused a call for too many calls; the session pauses.
    Throttled: Reconciling, "Nothing; if it lasts, find who else uses the application, or lower `spec.quota.calls`.";
    /// The platform does not answer understandably; it is tried with growing pauses.
    PlatformUnavailable: Reconciling, "Nothing; if it lasts, look at the network, the NetworkPolicy and the platform.";
    /// A mass deletion waits for a person: `status.hold` says how many and since when.
    MassDeletionHeld: Stalled, "Release it with `vpo hold release ID` if all of it is meant, else take it back with `vpo hold retain ID`; a plain revert in Git takes nothing back. Raising the bound that was passed far enough releases it at once, too.";
    /// The `Platform` is being deleted, but objects still need it.
    InUse: Reconciling, "Delete those objects or set them to `deletionPolicy: Retain`; or give the `Platform` up with the annotation `iodm.dev/abandon`, its uid as the value.";
    /// The endpoint is not an https URL of the allowed form.
    EndpointInvalid: Stalled, "Mend `spec.endpoint`.";
    /// A Secret that the Platform names does not exist.
    SecretNotFound: Stalled, "Create the Secret named in the message, in the namespace of the `Platform`.";
    /// The operator has no right to read a Secret that the Platform names.
    SecretForbidden: Stalled, "Mend the name of the Secret in the spec, or add that name to the Role of `manifests/platform-access` in this namespace: the message has the commands.";
    /// The API server can't show a Secret that the Platform names.
    SecretUnreadable: Stalled, "Look at the API server, whose answer the message tells.";
    /// A Secret lacks a key, or a key holds something that can't be used.
    SecretInvalid: Stalled, "Mend the key of the Secret that the message names.";
    /// The platform's certificate is not trusted: its issuer, its time, its names or its purpose.
    CertificateNotTrusted: Stalled, "The message says which, and what helps: `spec.tls.caSecretRef`, `spec.tls.serverName`, or a new certificate.";
    /// The platform demands a client certificate, or refuses the one that was shown.
    ClientCertificateRefused: Stalled, "Put a certificate that the platform accepts into the Secret of `spec.tls.clientCertSecretRef`.";
    /// The endpoint speaks no TLS, or none that the operator speaks.
    TlsMismatch: Stalled, "Mend `spec.endpoint`, or have TLS 1.2 or newer switched on there: the message says what is missing.";
    /// The platform refused the credentials.
    AuthenticationFailed: Stalled, "Put the right `appId` and `secret`, or a token that lives, into the Secret of `spec.credentialsSecretRef`.";
    /// The token in the Secret is not used, since a login of the same application works.
    TokenNotUsed: Stalled, "Give this `Platform` the credentials of the Secret that the message names.";
    /// A login takes the only call that the quota allows in a window, and its token is over before the next one, so no call can be made.
    QuotaTooSmall: Stalled, "Raise `spec.quota.calls` to 2 or more, or have the platform give tokens that live longer than `spec.quota.window`.";
    /// The platform refuses the application itself: frozen, unknown or without the right.
    ApplicationRefused: Stalled, "The owner of the application has to clear the code in the message with whoever runs the platform.";
    /// Answers come that the platform doesn't give, to a login or to call after call: they prove nothing.
    UnexpectedAnswer: Stalled, "Compare `spec.endpoint` with the platform's, and look at proxies and gateways on the way.";
    /// The finalizer of the `Platform` can't be changed, so no object may rely on it.
    FinalizerRefused: Stalled, "Give the operator the ClusterRole of its version, or mend the admission policy that the message names.";
    /// What there is to say can't be written into the status of the `Platform`: the API server or an admission policy refuses that, or fails again and again. No deletion is sent that its guard has to count.
    StatusRefused: Stalled, "Give the operator the ClusterRole of its version, or mend the admission policy that the message names.";
    /// How a deletion ended can't be written to the audit log, and nothing is sent before.
    AuditFailed: Stalled, "Give the operator room and the right to write its audit log: the message says what fails.";
    /// The `Platform` was written while its `CustomResourceDefinition` lacked fields, so what they held is lost.
    FieldsLost: Stalled, "Look at the spec; then edit it, or set the annotation `iodm.dev/confirm`, the uid of the `Platform` as its value.";
    /// The operator doesn't see the cluster as it is, or can't hold its Lease, and sends nothing that rests on what it doesn't see.
    Blind: Reconciling, "Look at the API server and at the rights of the operator: the message says what fails.";
    /// The object can't be read as a Platform of this version.
    Undecodable: Stalled, "Mend the field named in the message.";
}
