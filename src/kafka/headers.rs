use std::ffi::CStr;
use std::ptr;

use bytes::Bytes;
use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_message_headers};
use rdkafka::message::{BorrowedMessage, Header as OutHeader, OwnedHeaders};
use rdkafka::types::RDKafkaRespErr;

use crate::stream::Header;

/// The headers of a message.
///
/// Not through rdkafka's own reader: that panics on a name which is not UTF-8, and one such record
/// would end the poll thread. Here, what is not UTF-8 in a name is replaced.
pub(super) fn read(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is alive as long as its borrow, and `list` is a place for a pointer.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &mut list) };
    if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Vec::new();
    }
    (0..).map_while(|index| header(list, index)).collect()
}

fn header(list: *const rdkafka::types::RDKafkaHeaders, index: usize) -> Option<Header> {
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
