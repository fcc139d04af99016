//! An error of the API server's client, in words for people.

/// What the API server said, or why it couldn't be asked. kube's own text repeats the whole answer behind the message.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(answer) => answer.message.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_the_message_of_an_answer_is_told() {
        let status = Status::failure("leases is forbidden", "Forbidden").with_code(403);
        let error = kube::Error::Api(Box::new(status));
        assert!(error.to_string().contains("Status {"), "{error}");
        assert_eq!(words(&error), "leases is forbidden");
    }
}
