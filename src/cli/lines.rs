use std::io::{self, BufRead};

/// One line of a file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line without its end.
    Whole(Vec<u8>),
    /// A line over the limit; it was skipped.
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Reads the next line, of which at most `bytes_max` bytes are held, or `None` at the end.
pub(super) fn next_line(reader: &mut impl BufRead, bytes_max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut bytes = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok((bytes > 0).then(|| finish(line, bytes, bytes_max)));
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        bytes += part.len();
        // One byte over the limit is kept for the carriage return of a line that just fits.
        let room = (bytes_max + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(finish(line, bytes, bytes_max)));
        }
    }
}

fn finish(mut line: Vec<u8>, mut bytes: usize, bytes_max: usize) -> Line {
    if line.len() == bytes && line.last() == Some(&b'\r') {
        line.pop();
        bytes -= 1;
    }
    if bytes > bytes_max { Line::TooLong { bytes } } else { Line::Whole(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, bytes_max: usize) -> Vec<Line> {
        // A buffer of three bytes, so that lines arrive in pieces.
        let mut reader = io::BufReader::with_capacity(3, text.as_bytes());
        std::iter::from_fn(|| next_line(&mut reader, bytes_max).unwrap()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_without_their_ends_and_the_last_needs_none() {
        assert_eq!(read("one\r\n\ntwo\nlast", 10), ["one", "", "two", "last"].map(whole));
        assert_eq!(read("", 10), []);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_read() {
        let lines = read("12345\n123456\n12345\r\nend", 5);
        assert_eq!(
            lines,
            [whole("12345"), Line::TooLong { bytes: 6 }, whole("12345"), whole("end")]
        );
    }
}
