use super::{COMPLETE, Given};
use crate::config::load;
use crate::kafka::Sasl;

const SASL: &str = "[kafka.security]\ntls = true\n[kafka.security.sasl]\nmechanism = \"plain\"\nusername = \"u\"\n";

fn password(given: &Given) -> String {
    match given.worker().kafka.security.sasl {
        Some(Sasl::Plain(credentials)) => credentials.password.0,
        other => panic!("{other:?} is not PLAIN"),
    }
}

#[test]
fn passwords_are_printed_nowhere() {
    let given = Given::default().file(&format!(
        "{COMPLETE}{SASL}password = \"hunter2\"\n[kafka.client]\nssl.key.password = \"hunter2\"\n"
    ));
    let raw = given.raw();
    let printed = [
        format!("{raw:?}"),
        raw.effective(),
        format!("{:?}", given.sources),
        format!("{:?}", given.worker().kafka.security),
    ];
    for text in printed {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(raw.effective().contains("password = \"***\" # "), "{}", raw.effective());
    assert_eq!(password(&given), "hunter2");
}

#[test]
fn errors_do_not_quote_passwords() {
    let cases = [
        format!("{COMPLETE}{SASL}password = 90210"),
        format!("{COMPLETE}{SASL}password = \"90210"),
        format!("{COMPLETE}{SASL}pasword = \"90210\""),
        "[kafka]\nbrokers = \"user:90210@b:9092\"".to_owned(),
        format!("{COMPLETE}{SASL}password = [\"90210\"]"),
    ];
    for text in cases {
        let printed = Given::default().file(&text).printed();
        assert!(!printed.contains("90210"), "{printed}");
    }
    let sources = Given::default().flag("kafka.security.sasl.password", "90210").sources;
    let printed = load(sources).unwrap().worker().unwrap_err().to_string();
    assert!(!printed.contains("90210"), "{printed}");
}

#[test]
fn password_comes_from_the_environment_or_the_first_line_of_a_file() {
    let variable = Given::default()
        .file(&format!("{COMPLETE}{SASL}"))
        .variable("CROSSRANK__KAFKA__SECURITY__SASL__PASSWORD", " p w ");
    assert_eq!(password(&variable), " p w ");

    let mut file = Given::default().file(&format!("{COMPLETE}{SASL}"));
    let path = file.in_folder("password", "from a file\r\n");
    let file = file.flag("kafka.security.sasl.password_file", path.to_str().unwrap());
    assert_eq!(password(&file), "from a file");

    let both = file.variable("CROSSRANK__KAFKA__SECURITY__SASL__PASSWORD", "x");
    assert_eq!(
        both.problems(),
        ["kafka.security.sasl.password_file: is set beside kafka.security.sasl.password"]
    );
}

#[test]
fn token_of_the_admin_port_comes_from_a_key_or_a_file_and_is_printed_nowhere() {
    const TOKEN: &str = "0123456789abcdef";
    let key = Given::default().file(&format!("{COMPLETE}[admin]\ntoken = \"{TOKEN}\"\n"));
    let mut file = Given::default().file(COMPLETE);
    let path = file.in_folder("token", &format!("{TOKEN}\n"));
    let file = file.flag("admin.token_file", path.to_str().unwrap());
    for given in [key, file] {
        let (raw, config) = (given.raw(), given.worker());
        assert!(config.admin.as_ref().unwrap().token.is_some());
        for text in [raw.effective(), format!("{raw:?}"), format!("{config:?}")] {
            assert!(!text.contains(TOKEN), "{text}");
        }
    }
    let short = Given::default().variable("CROSSRANK__ADMIN__TOKEN", "hunter2").file(COMPLETE);
    assert!(!short.printed().contains("hunter2"), "{}", short.printed());
}

#[test]
fn variable_that_is_not_utf8_is_refused() {
    let given = Given::default()
        .file(&format!("{COMPLETE}{SASL}"))
        .variable("CROSSRANK__KAFKA__SECURITY__SASL__PASSWORD", "pa\u{fffd}s");
    assert_eq!(given.problems(), ["kafka.security.sasl.password: is not UTF-8"]);
}

#[test]
fn secret_sent_in_clear_text_is_allowed_with_a_warning() {
    let text = format!("{COMPLETE}{SASL}password = \"p\"\n");
    assert_eq!(Given::default().file(&text).worker().warnings, [""; 0]);
    let clear = Given::default().file(&text.replace("tls = true", "tls = false")).worker();
    assert_eq!(clear.warnings.len(), 1);
    assert!(clear.warnings[0].contains("the SASL password"), "{:?}", clear.warnings);
    let scram = text.replace("tls = true", "tls = false").replace("plain", "scram-sha-256");
    assert_eq!(Given::default().file(&scram).worker().warnings, [""; 0]);
}
