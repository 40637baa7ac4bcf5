use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;

/// Why a token file cannot be used. Never repeats the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("cannot read the token file {file}: {source}")]
    Unreadable { file: String, source: io::Error },
    #[error("the token file {file} holds no JWT (three parts, the second with exp and sub)")]
    NotJwt { file: String },
    #[error("the token in {file} expired {seconds} s ago; whatever renews it does not")]
    Expired { file: String, seconds: u64 },
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since the Unix epoch; some issuers write a fraction.
    exp: f64,
    sub: String,
}

/// The token in `file`, with the lifetime and the principal that it states itself.
///
/// The signature is not checked: that is for the broker to do.
pub(super) fn read(file: &str) -> Result<OAuthToken, TokenError> {
    let text = fs::read_to_string(Path::new(file))
        .map_err(|source| TokenError::Unreadable { file: file.to_owned(), source })?;
    parse(file, text.trim(), SystemTime::now())
}

fn parse(file: &str, token: &str, now: SystemTime) -> Result<OAuthToken, TokenError> {
    let not_jwt = || TokenError::NotJwt { file: file.to_owned() };
    let parts: Vec<&str> = token.split('.').collect();
    let [_, payload, _] = parts[..] else {
        return Err(not_jwt());
    };
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_jwt())?;
    let claims: Claims = serde_json::from_slice(&json).map_err(|_| not_jwt())?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    if claims.exp <= now {
        let seconds = (now - claims.exp) as u64;
        return Err(TokenError::Expired { file: file.to_owned(), seconds });
    }
    Ok(OAuthToken {
        token: token.to_owned(),
        principal_name: claims.sub,
        lifetime_ms: (claims.exp * 1000.0) as i64,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(claims), part("signature"))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn lifetime_and_principal_are_those_of_the_token() {
        let token = token(r#"{"exp": 1000.5, "sub": "reranker", "aud": "kafka"}"#);
        let parsed = parse("token", &token, at(900)).unwrap();
        assert_eq!(parsed.token, token);
        assert_eq!(parsed.principal_name, "reranker");
        assert_eq!(parsed.lifetime_ms, 1_000_500);
    }

    #[test]
    fn an_expired_token_says_since_when() {
        let token = token(r#"{"exp": 1000, "sub": "reranker"}"#);
        let error = parse("token", &token, at(1060)).err().unwrap();
        assert!(error.to_string().contains("expired 60 s ago"), "{error}");
    }

    #[test]
    fn what_is_no_jwt_is_refused_without_being_repeated() {
        for text in ["", "hush", "a.b", "hush.hush.hush", &token(r#"{"sub": "no exp"}"#)] {
            let error = parse("token", text, at(0)).err().unwrap();
            assert!(matches!(error, TokenError::NotJwt { .. }));
            assert!(!error.to_string().contains("hush"));
        }
    }
}
