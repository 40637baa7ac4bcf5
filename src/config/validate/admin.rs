use std::net::SocketAddr;
use std::path::Path;

use super::Check;
use crate::admin::{Settings, Token};

const ADDRESS: &str = "admin.address";
const TOKEN: &str = "admin.token";
const TOKEN_FILE: &str = "admin.token_file";

/// `None` where it is switched off, or cannot be used, for which there is a problem then.
pub(super) fn checked(check: &mut Check<'_>) -> Option<Settings> {
    let admin = &check.raw.values.admin;
    if !admin.enabled {
        return None;
    }
    let token = token(check);
    let address: SocketAddr = match admin.address.parse() {
        Ok(address) => address,
        Err(_not_one) => {
            let wrong = format!("{:?} is not an IP address and a port", admin.address);
            let remedy = "write 127.0.0.1:9464, [::1]:9464, or 0.0.0.0:9464 for all interfaces";
            check.problem(ADDRESS, wrong, remedy);
            return None;
        }
    };
    let named = admin.token.is_some() || admin.token_file.is_some();
    check.relation(
        address.ip().is_loopback() || named,
        &[ADDRESS, TOKEN, TOKEN_FILE],
        format!("{address} can be reached from other machines, and there is no {TOKEN}"),
        "set admin.token or admin.token_file, which requests then carry (/livez and /readyz need none), \
         or listen on 127.0.0.1 only",
    );
    Some(Settings { address, token, texts: admin.texts })
}

fn token(check: &mut Check<'_>) -> Option<Token> {
    let admin = &check.raw.values.admin;
    let (key, text) = match (&admin.token, &admin.token_file) {
        (Some(_), Some(_)) => {
            check.problem(TOKEN_FILE, format!("is set beside {TOKEN}"), "keep one of them");
            return None;
        }
        (None, None) => return None,
        (Some(token), None) => (TOKEN, token.0.clone()),
        (None, Some(file)) => (TOKEN_FILE, check.first_line(TOKEN_FILE, Path::new(file), "token")?),
    };
    let token = Token::new(&text);
    if token.is_none() {
        let wrong = format!(
            "is shorter than {} characters, or has some that a header cannot carry",
            Token::CHARS_MIN
        );
        check.problem(key, wrong, "make one with `openssl rand -hex 32`");
    }
    token
}
