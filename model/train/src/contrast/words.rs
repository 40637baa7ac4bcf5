//! Numbers as words and with separators, ordinals, articles.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number up to 99 in words, such as "forty-two"; `None` above.
pub(super) fn number(number: u32) -> Option<String> {
    let small = |index: u32| usize::try_from(index).ok().and_then(|index| SMALL.get(index));
    if let Some(word) = small(number) {
        return Some((*word).to_owned());
    }
    let tens = usize::try_from(number / 10).ok().and_then(|index| TENS.get(index))?;
    match number % 10 {
        0 => Some((*tens).to_owned()),
        units => small(units).map(|units| format!("{tens}-{units}")),
    }
}

/// A number with a comma before each group of three digits.
pub(super) fn with_commas(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "st", "nd", "rd" or "th", as the number is read.
pub(super) fn ordinal_suffix(number: u32) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// "a" or "an", as what follows begins.
pub(super) fn article(next: &str) -> &'static str {
    match next.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'u' | 'A' | 'E' | 'I' | 'O' | 'U') => "an",
        _ => "a",
    }
}

/// `text` with its first letter as a capital.
pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let read = [(0, "zero"), (12, "twelve"), (40, "forty"), (99, "ninety-nine")];
        for (digits, word) in read {
            assert_eq!(number(digits).as_deref(), Some(word));
        }
        assert_eq!(number(100), None);
        assert_eq!(
            ["7", "700", "7,000", "1,234,567"],
            [7, 700, 7000, 1_234_567].map(with_commas)[..]
        );
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal_suffix);
        assert_eq!(ordinals, ["st", "nd", "rd", "th", "th", "th", "th", "st", "th"]);
    }
}
