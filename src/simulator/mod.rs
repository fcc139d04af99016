//! A faithful stand-in of the platform, judged against the vendor's own clients.
