use std::ffi::CStr;
use std::ptr;

use bytes::Bytes;
use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_message_headers};
use rdkafka::message::{BorrowedMessage, Header as OutHeader, OwnedHeaders};
use rdkafka::types::{RDKafkaHeaders, RDKafkaRespErr};

use crate::stream::Header;

/// The headers of a message.
///
/// Not through rdkafka's own reader: that panics on a name which is not UTF-8, and one such record
/// would end the poll thread. Here, what is not UTF-8 in a name is replaced. A name that holds a NUL ends
/// before it: librdkafka tells no length.
pub(super) fn read(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is alive as long as its borrow, and `list` is a place for a pointer.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &mut list) };
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Vec::new();
    }
    all(list)
}

/// The headers of a list that is alive.
fn all(list: *const RDKafkaHeaders) -> Vec<Header> {
    (0..).map_while(|index| header(list, index)).collect()
}

fn header(list: *const RDKafkaHeaders, index: usize) -> Option<Header> {
    let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `list` belongs to a living message; the others are places for what is returned.
    let found = unsafe { rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size) };
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: librdkafka ends every name with a NUL, and keeps it as long as the message.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    let value = (!value.is_null()).then(|| {
        // SAFETY: `value` points to `size` bytes, kept as long as the message.
        Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) })
    });
    Some(Header { name, value })
}

/// The headers of a message to be sent; `None` where there are none.
pub(super) fn write(headers: &[Header]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let start = OwnedHeaders::new_with_capacity(headers.len());
    let add = |list: OwnedHeaders, header: &Header| {
        list.insert(OutHeader { key: &header.name, value: header.value.as_deref() })
    };
    Some(headers.iter().fold(start, add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_headers_destroy, rd_kafka_headers_new};
    use rdkafka::message::Headers;

    use super::*;

    /// Headers as the client holds those of a message.
    struct Received(*mut RDKafkaHeaders);

    impl Received {
        fn new(headers: &[(Vec<u8>, Option<Vec<u8>>)]) -> Self {
            // SAFETY: it takes nothing but a number.
            let list = unsafe { rd_kafka_headers_new(headers.len()) };
            for (name, value) in headers {
                let (start, size) = match value {
                    Some(value) => (value.as_ptr().cast(), value.len()),
                    None => (ptr::null(), 0),
                };
                let (name, length) = (name.as_ptr().cast(), name.len() as isize);
                // SAFETY: the list is alive, and name and value are copied before they end.
                let added =
                    unsafe { rd_kafka_header_add(list, name, length, start, size as isize) };
                assert_eq!(added, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
            }
            Self(list)
        }
    }

    impl Drop for Received {
        fn drop(&mut self) {
            // SAFETY: no message took the list over.
            unsafe { rd_kafka_headers_destroy(self.0) }
        }
    }

    proptest! {
        #[test]
        fn whatever_bytes_they_are_headers_are_read_in_order(
            headers in prop::collection::vec(
                (
                    prop::collection::vec(any::<u8>(), 0..9),
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
                ),
                0..5,
            ),
        ) {
            let read = all(Received::new(&headers).0);
            let expected = headers.into_iter().map(|(name, value)| {
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                Header { name, value: value.map(Bytes::from) }
            });
            prop_assert_eq!(&read, &expected.collect::<Vec<_>>());
            let written = write(&read).map_or(0, |list| list.count());
            prop_assert_eq!(written, read.len());
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_replaced_and_its_value_is_kept() {
        let read = all(Received::new(&[(b"a\xff".to_vec(), Some(b"\xfe\0".to_vec()))]).0);
        let value = Some(Bytes::from_static(b"\xfe\0"));
        assert_eq!(read, [Header { name: "a\u{fffd}".to_owned(), value }]);
    }
}
