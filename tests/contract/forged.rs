//! What the proxy does to a metadata answer, byte by byte.

use crate::kafka::proxy::metadata::{Asked, METADATA, client_id, without_brokers};

fn old(brokers: &[(i32, &str)]) -> Vec<u8> {
    // Version 1, as its protocol page has it.
    let mut answer = 7_i32.to_be_bytes().to_vec();
    answer.extend(i32::try_from(brokers.len()).unwrap().to_be_bytes());
    for (id, host) in brokers {
        answer.extend(id.to_be_bytes());
        answer.extend(i16::try_from(host.len()).unwrap().to_be_bytes());
        answer.extend(host.as_bytes());
        answer.extend(9092_i32.to_be_bytes());
        answer.extend((-1_i16).to_be_bytes()); // no rack
    }
    answer.extend(b"controller and topics");
    answer
}

fn flexible(brokers: &[(i32, &str)]) -> Vec<u8> {
    // Version 12: a header with a tagged field of two bytes, a throttle time, compact lengths.
    let mut answer = 7_i32.to_be_bytes().to_vec();
    answer.extend([1, 0, 2, 0xaa, 0xbb]);
    answer.extend(0_i32.to_be_bytes());
    answer.push(u8::try_from(brokers.len()).unwrap() + 1);
    for (id, host) in brokers {
        answer.extend(id.to_be_bytes());
        let length = host.len() + 1;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => answer.push(short),
            _ => answer.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]),
        }
        answer.extend(host.as_bytes());
        answer.extend(9092_i32.to_be_bytes());
        answer.extend([5, b'r', b'a', b'c', b'k']);
        answer.push(0); // no tagged fields
    }
    answer.extend(b"cluster, controller and topics");
    answer
}

#[test]
fn a_metadata_answer_loses_its_brokers_and_nothing_else() {
    let long = "a-host-with-a-long-name.".repeat(8);
    let brokers = [(1, "one"), (2, long.as_str()), (3, "")];
    assert_eq!(without_brokers(&old(&brokers), 1), old(&[]));
    assert_eq!(without_brokers(&flexible(&brokers), 12), flexible(&[]));
    assert_eq!(without_brokers(&flexible(&[]), 12), flexible(&[]));
}

#[test]
fn only_the_answer_to_a_metadata_request_is_one() {
    let request = |key: i16, version: i16, id: i32| {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &id.to_be_bytes(), b"rest"].concat()
    };
    let asked = Asked::default();
    asked.note(&request(METADATA, 12, 7));
    asked.note(&request(18, 3, 8));
    asked.note(b"short");
    assert_eq!(asked.take(&old(&[])), Some(12));
    assert_eq!(asked.take(&old(&[])), None, "it is answered once");
    assert_eq!(asked.take(&8_i32.to_be_bytes()), None, "it asked for something else");
}

#[test]
fn a_request_says_whose_it_is() {
    let request = [&[0, 18, 0, 3, 0, 0, 0, 7, 0, 5][..], b"alice and more"].concat();
    assert_eq!(client_id(&request), Some(b"alice".as_slice()));
    assert_eq!(client_id(&request[..12]), None, "it is cut off");
    assert_eq!(client_id(&[0, 18, 0, 3, 0, 0, 0, 7, 0xff, 0xff]), None, "it is null");
}
