//! The librdkafka properties whose values are secret.

/// Whether the value of `property` must not be printed.
pub(super) fn is_secret(property: &str) -> bool {
    ["password", "passphrase", "secret", "key.pem"].iter().any(|part| property.contains(part))
}
