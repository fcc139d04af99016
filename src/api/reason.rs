//! Phases and reasons: one vocabulary for conditions, events, metrics, logs and docs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;

/// The state of a `VersionPackage` in one word for people. Machines should read the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The package is wanted; nothing is to be done.
    Active,
    /// A deletion is due and progresses by itself: it waits for its turn, for the platform or for a time.
    Waiting,
    /// A person or a guard holds the deletion.
    Held,
    /// The intent to delete is written; the call is made as soon as the watch shows the intent.
    Deleting,
    /// Nothing is left to do: the package doesn't exist on the platform any more, or it stays there and this object no
    /// longer manages it.
    Gone,
    /// An error that a person has to repair.
    Stalled,
}

/// The kstatus result of an object that isn't being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `Ready=True`.
    Done,
    /// `Ready=False`, `Reconciling=True`: the object progresses by itself.
    Reconciling,
    /// `Ready=False`, `Stalled=True`: a person has to act.
    Stalled,
}

impl Phase {
    /// All phases, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Waiting,
        Self::Deleting,
        Self::Held,
        Self::Stalled,
        Self::Gone,
    ];

    /// The kstatus result of this phase.
    pub fn progress(self) -> Progress {
        match self {
            Self::Active | Self::Gone => Progress::Done,
            Self::Waiting | Self::Deleting => Progress::Reconciling,
            Self::Held | Self::Stalled => Progress::Stalled,
        }
    }

    /// The value of `status.phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Waiting => "Waiting",
            Self::Held => "Held",
            Self::Deleting => "Deleting",
            Self::Gone => "Gone",
            Self::Stalled => "Stalled",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $phase:ident, $todo:literal;)+) => {
        /// The reason of a `VersionPackage`'s phase: the `reason` of its conditions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason in CamelCase, as conditions, events, metrics and logs spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The phase that this reason belongs to.
            pub fn phase(self) -> Phase {
                match self { $(Self::$name => Phase::$phase,)+ }
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
    /// The package is wanted.
    Active: Active, "Nothing.";
    /// The package is wanted until the time in `spec.retireAfter`.
    Scheduled: Active, "Nothing.";
    /// The deletion waits for its turn among the calls that the platform allows.
    Queued: Waiting, "Nothing, unless the message says what is in the way: then mend that (`docs/operations.md`, What Queued says).";
    /// The platform refused a call because the application made too many; all calls of the application pause.
    Throttled: Waiting, "Nothing; if it lasts, find who else uses the application, or lower `spec.quota.calls` of the `Platform`.";
    /// The deletion waits until `guard.gracePeriod` of the `Platform` has passed, so that it can still be called off.
    GracePeriod: Waiting, "Nothing; to call it off, set `deletionPolicy: Retain` or claim the package by another object; for a retired object, set `lifecycle: Active`, and remove `retireAfter` if its time has passed.";
    /// The platform refused the access token; a new login is made.
    TokenRefused: Waiting, "Nothing; if it lasts, find who else logs in with this application.";
    /// The platform didn't answer, or its answer doesn't tell whether the package is deleted.
    PlatformUnavailable: Waiting, "Nothing; if it lasts, look at the network and at the platform.";
    /// The intent to delete is written to the status; the call is made as soon as the watch shows the intent.
    Deleting: Deleting, "Nothing.";
    /// The annotation `iodm.dev/paused` holds the deletion.
    Paused: Held, "Take the annotation off.";
    /// The `Platform` is in mode `Observe`; in `Enforce` the package would now be deleted.
    WouldDelete: Held, "Set `spec.mode: Enforce` on the `Platform`, once you want that.";
    /// More deletions were requested at the same time than the guard of the `Platform` allows without a release.
    MassDeletionHeld: Held, "Look at `status.hold` of the `Platform`: release it (`vpo hold release ID`) if all of it is meant, else take it back (`vpo hold retain ID`, or have Git say `deletionPolicy: Retain`; a plain revert takes nothing back).";
    /// This object is retired, but another one still wants the same package.
    StillClaimed: Held, "Delete or retire the object named in the message, or set this one `Active` again.";
    /// Another object may want the same package; whether it does isn't known yet.
    ClaimUnclear: Held, "The message names the other object and says what to do about it; if the other object surely doesn't want the package, the annotation `iodm.dev/disregard` passes over it.";
    /// The `Platform` that the object names doesn't exist.
    PlatformNotFound: Held, "Create the `Platform`, or set `deletionPolicy: Retain`.";
    /// The `Platform` doesn't allow objects of this namespace.
    PlatformNotAllowed: Held, "Widen `spec.allowedNamespaces` of the `Platform`, or set `deletionPolicy: Retain`.";
    /// The `Platform` can't be used, mostly because of its credentials.
    CredentialsMissing: Held, "Do what the condition of the `Platform` says.";
    /// The Secret doesn't exist or the operator has no right to read it, and the operator has no working credentials in memory.
    CredentialsLost: Held, "Do what the message says: give the Secret back, or the right to read it (`manifests/platform-access`); or set `deletionPolicy: Retain`.";
    /// The credentials of the `Platform` now name another application, which can't tell whether this package exists.
    ApplicationChanged: Held, "Give the `Platform` credentials of the application in `status.application`, or set `deletionPolicy: Retain`. If the object is live, or is `AlreadyGone` in that application, you can instead set the annotation `iodm.dev/accept`: the operator then accepts the object for the present application of the `Platform`.";
    /// The `Platform` has another endpoint than when the object was accepted; the new endpoint lacks the package and has shown no package of ours.
    EndpointChanged: Held, "Put the endpoint of `status.endpoint` back; or have the list read (`spec.inventory`), so that the new endpoint can show a package of ours; or set `deletionPolicy: Retain`.";
    /// The `Platform` has a token obtained elsewhere instead of a login. With this token, the platform answers that the package doesn't exist, but no call with this token has shown a package of ours yet.
    ApplicationUnproven: Held, "Put a login (`appId` and `secret`) into the Secret of the `Platform`; or have the list read (`spec.inventory`), so that the list shows which application the token belongs to; or set `deletionPolicy: Retain`.";
    /// No call can be made, because of a certificate or of TLS itself.
    TlsFailed: Stalled, "Mend what the condition of the `Platform` says; the operator then tries at once.";
    /// The platform refused the credentials.
    AuthenticationFailed: Stalled, "Put the right `appId` and `secret`, or a token that hasn't expired, into the Secret of the `Platform`.";
    /// A login uses the only call that the quota allows in a window, and its token expires before the next window, so no call can be made.
    QuotaTooSmall: Stalled, "Raise `spec.quota.calls` of the `Platform` to 2 or more, or have the platform give tokens that live longer than `spec.quota.window`.";
    /// The platform refuses the application itself: it is frozen, unknown or lacks the right.
    ApplicationRefused: Stalled, "The owner of the application has to ask whoever runs the platform about the code in the message.";
    /// The platform doesn't accept the `fileId` as an id.
    InvalidFileId: Stalled, "Set `deletionPolicy: Retain`, delete the object, and create it anew with the right `fileId`.";
    /// The platform describes another package than `spec.expect`, so the package isn't deleted.
    IdentityMismatch: Stalled, "Compare the two values in the message; mend `spec.expect`, or set `deletionPolicy: Retain`.";
    /// The package doesn't exist on the platform, although this object wants it.
    PackageMissing: Stalled, "Set `lifecycle: Retired`; for a package that was uploaded again, create an object with its new `fileId`.";
    /// The platform gave an answer that proves nothing about the package.
    UnexpectedAnswer: Stalled, "Compare `endpoint` and the code in the message with the platform; after a change of the `Platform` the operator tries again.";
    /// The outcome of a deletion (of this object, or of another object before it) can't be written to the audit log. Until it is written, nothing is sent and no object is released.
    AuditFailed: Stalled, "Give the operator disk space and the right to write its audit log: the message says what fails.";
    /// The finalizer of the object can't be added or removed: the API server or an admission policy refuses the write.
    FinalizerRefused: Stalled, "Mend the admission policy that the message names, or give the operator the ClusterRole of its version.";
    /// The status can't be written: the API server or an admission policy refuses the write, or it fails again and again. Nothing more is sent for the object.
    StatusRefused: Stalled, "Mend the admission policy that the message names, or give the operator the ClusterRole of its version.";
    /// The object can't be decoded as a `VersionPackage` of this version.
    Undecodable: Stalled, "Mend the field named in the message, or set `deletionPolicy: Retain`.";
    /// The object was written while its `CustomResourceDefinition` lacked fields, so the values of these fields are lost.
    FieldsLost: Stalled, "Look at the spec; then edit it, or set the annotation `iodm.dev/confirm` to the uid of the object. `deletionPolicy: Retain` lets the object go without its package.";
    /// The platform deleted the package.
    Deleted: Gone, "Nothing.";
    /// The platform answered that the package doesn't exist.
    AlreadyGone: Gone, "Nothing.";
    /// The object is being deleted and the package stays on the platform, as `deletionPolicy: Retain` says; another controller's finalizer keeps the object.
    Retained: Gone, "Nothing of ours: whoever put the other finalizer on has to take it off.";
    /// The object is being deleted and the package stays on the platform for another object; another controller's finalizer keeps this one.
    HandedOver: Gone, "Nothing of ours: whoever put the other finalizer on has to take it off.";
}

impl From<Outcome> for Reason {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Deleted => Self::Deleted,
            Outcome::AlreadyGone => Self::AlreadyGone,
            Outcome::Retained => Self::Retained,
            Outcome::HandedOver => Self::HandedOver,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
