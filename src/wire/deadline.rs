use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

use super::DecodeError;

/// Reads the value of the header [`DEADLINE`](super::header::DEADLINE): an RFC 3339 time, or
/// milliseconds since the epoch as decimal digits. Later than a [`Timestamp`] can be counts as the
/// latest there is.
pub fn decode_deadline(value: &[u8]) -> Result<Timestamp, DecodeError> {
    let text = str::from_utf8(value).ok();
    let time = text.and_then(|text| milliseconds(text).or_else(|| rfc3339(text)));
    time.ok_or(DecodeError::InvalidDeadline { bytes: value.len() })
}

fn milliseconds(text: &str) -> Option<Timestamp> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = |ms| Timestamp::from_millisecond(ms).ok();
    is_number.then(|| text.parse().ok().and_then(time).unwrap_or(Timestamp::MAX))
}

/// Reads an RFC 3339 time.
///
/// The last hours of the year 9999, a common way to write "never", are later than a [`Timestamp`]
/// can be: they count as the latest one. No year of four digits is too early.
pub(super) fn rfc3339(text: &str) -> Option<Timestamp> {
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    text.parse().ok().or_else(|| Pieces::parse(text).is_ok().then_some(Timestamp::MAX))
}

/// Whether `text` has the shape of an RFC 3339 time. The parser knows the calendar and takes one to
/// nine decimals, but accepts further notations, which other readers of the field do not.
fn is_rfc3339(text: &[u8]) -> bool {
    let shape = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                wanted => byte.eq_ignore_ascii_case(wanted),
            })
    };
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let offset = match rest.split_first() {
        Some((b'.', rest)) => {
            let decimals = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.get(decimals..).unwrap_or_default()
        }
        _ => rest,
    };
    shape(time, b"0000-00-00T00:00:00") && (shape(offset, b"Z") || shape(offset, b"+00:00"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_time_or_refused(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let code = decode_deadline(&value).map_err(|error| error.code());
            prop_assert!(matches!(code, Ok(_) | Err("invalid_deadline")));
        }

        #[test]
        fn both_spellings_of_a_moment_are_the_same(ms in 0_i64..253_402_207_200_000) {
            let time = Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(decode_deadline(ms.to_string().as_bytes()), Ok(time));
            prop_assert_eq!(decode_deadline(time.to_string().as_bytes()), Ok(time));
        }
    }

    #[test]
    fn a_header_is_a_time_or_milliseconds() {
        let time = |text: &str| decode_deadline(text.as_bytes()).unwrap();
        let expected: Timestamp = "2026-11-23T12:00:00.250Z".parse().unwrap();
        assert_eq!(time("2026-11-23T12:00:00.250Z"), expected);
        assert_eq!(time("2026-11-23T13:00:00.25+01:00"), expected);
        assert_eq!(time("1795435200250"), expected);
        assert_eq!(time("0"), Timestamp::UNIX_EPOCH);
        for never in ["9223372036854775807", "99999999999999999999999", "9999-12-31T23:59:59Z"] {
            assert_eq!(time(never), Timestamp::MAX, "{never}");
        }
    }

    #[test]
    fn a_header_that_is_neither_is_refused_without_being_quoted() {
        let bad: [&[u8]; 8] = [
            b"",
            b"soon",
            b"-1",
            b"1.5",
            b" 17",
            b"2026-11-23",
            b"\xff",
            &[0, 0, 1, 0x9a, 7, 0, 0, 0],
        ];
        for value in bad {
            let error = decode_deadline(value).unwrap_err();
            assert_eq!(error.code(), "invalid_deadline", "{value:?}");
            assert!(error.to_string().contains("crossrank-deadline"), "{error}");
        }
    }
}
