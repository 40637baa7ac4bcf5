//! Numbers with a unit, and the same quantity in another unit.

use std::cmp::Ordering;

use super::words;

/// The largest number in front of a unit.
const AMOUNT_MAX: u64 = 9999;

/// Units of one thing: their sizes are exact multiples of a common base.
#[derive(Clone, Copy, Debug)]
pub(super) struct System(&'static [Unit]);

/// A name of a unit, and its size in the base of its system.
#[derive(Debug)]
struct Unit {
    short: &'static str,
    one: &'static str,
    many: &'static str,
    size: u64,
}

/// So many of a unit. Equal and ordered by what it measures: 5 km is 5000 m.
#[derive(Clone, Debug)]
pub(super) struct Quantity {
    system: System,
    unit: usize,
    amount: u64,
}

const fn unit(short: &'static str, one: &'static str, many: &'static str, size: u64) -> Unit {
    Unit { short, one, many, size }
}

// In tenths of a millimetre.
const LENGTH: System = System(&[
    unit("m", "metre", "metres", 10_000),
    unit("ft", "foot", "feet", 3_048),
    unit("yd", "yard", "yards", 9_144),
    unit("cm", "centimetre", "centimetres", 100),
]);
const DISTANCE: System = System(&[
    unit("km", "kilometre", "kilometres", 10_000_000),
    unit("m", "metre", "metres", 10_000),
    unit("mi", "mile", "miles", 16_093_440),
]);
const SMALL: System = System(&[
    unit("mm", "millimetre", "millimetres", 10),
    unit("cm", "centimetre", "centimetres", 100),
    unit("in", "inch", "inches", 254),
]);
// In nanograms.
const MASS: System = System(&[
    unit("g", "gram", "grams", 1_000_000_000),
    unit("kg", "kilogram", "kilograms", 1_000_000_000_000),
    unit("oz", "ounce", "ounces", 28_349_523_125),
    unit("lb", "pound", "pounds", 453_592_370_000),
]);
// In nanolitres times ten; the pint is the imperial one.
const VOLUME: System = System(&[
    unit("ml", "millilitre", "millilitres", 100_000),
    unit("cl", "centilitre", "centilitres", 1_000_000),
    unit("l", "litre", "litres", 100_000_000),
    unit("pt", "pint", "pints", 56_826_125),
]);
const DURATION: System = System(&[
    unit("min", "minute", "minutes", 60),
    unit("h", "hour", "hours", 3_600),
    unit("days", "day", "days", 86_400),
]);
const COOKING: System =
    System(&[unit("min", "minute", "minutes", 1), unit("h", "hour", "hours", 60)]);
const DOSE: System = System(&[
    unit("mg", "milligram", "milligrams", 1_000),
    unit("µg", "microgram", "micrograms", 1),
    unit("g", "gram", "grams", 1_000_000),
]);
const DATA: System = System(&[
    unit("MB", "megabyte", "megabytes", 1),
    unit("GB", "gigabyte", "gigabytes", 1_000),
    unit("TB", "terabyte", "terabytes", 1_000_000),
]);

// === impl System ===

impl System {
    /// The system of this name in a schema file.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "length" => LENGTH,
            "distance" => DISTANCE,
            "small" => SMALL,
            "mass" => MASS,
            "volume" => VOLUME,
            "duration" => DURATION,
            "cooking" => COOKING,
            "dose" => DOSE,
            "data" => DATA,
            _ => return None,
        })
    }

    /// Any amount of any unit.
    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Quantity {
        Quantity { system: self, unit: rng.usize(..self.0.len()), amount: amount(rng) }
    }
}

// === impl Quantity ===

impl Quantity {
    /// Another quantity with the same number or the same unit.
    pub(super) fn near(&self, rng: &mut fastrand::Rng) -> Self {
        let mut near = self.clone();
        while near == *self {
            if rng.bool() {
                near.unit = rng.usize(..self.system.0.len());
            } else {
                near.amount = amount(rng);
            }
        }
        near
    }

    /// As text: "5 km", "five kilometres", or exactly that much in another unit.
    pub(super) fn render(&self, rng: &mut fastrand::Rng) -> String {
        let (amount, unit) = if rng.u8(..3) == 0 { self.converted(rng) } else { self.as_drawn() };
        if rng.bool() {
            return format!("{amount} {}", unit.short);
        }
        let name = if amount == 1 { unit.one } else { unit.many };
        let words = u32::try_from(amount).ok().filter(|&amount| amount <= 12);
        match words.and_then(words::number) {
            Some(words) if rng.u8(..3) == 0 => format!("{words} {name}"),
            _ => format!("{amount} {name}"),
        }
    }

    fn as_drawn(&self) -> (u64, &'static Unit) {
        (self.amount, &self.system.0[self.unit])
    }

    /// In a unit, drawn at random, that takes a whole number of sensible size.
    fn converted(&self, rng: &mut fastrand::Rng) -> (u64, &'static Unit) {
        let unit = &self.system.0[rng.usize(..self.system.0.len())];
        let amount = self.total() / unit.size;
        if self.total().is_multiple_of(unit.size) && (1..=AMOUNT_MAX).contains(&amount) {
            (amount, unit)
        } else {
            self.as_drawn()
        }
    }

    fn total(&self) -> u64 {
        self.amount * self.system.0[self.unit].size
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.total().cmp(&other.total())
    }
}

/// The numbers that people put in front of units: small ones, and round ones.
fn amount(rng: &mut fastrand::Rng) -> u64 {
    match rng.u8(..3) {
        0 => rng.u64(2..=12),
        1 => rng.u64(3..=19) * 5,
        _ => rng.u64(2..=18) * 50,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEMS: [System; 9] =
        [LENGTH, DISTANCE, SMALL, MASS, VOLUME, DURATION, COOKING, DOSE, DATA];

    /// What a text such as "5 km" or "five kilometres" measures, in the base of its system.
    fn measured(system: System, text: &str) -> Option<u64> {
        let (amount, name) = text.split_once(' ')?;
        let unit =
            system.0.iter().find(|unit| [unit.short, unit.one, unit.many].contains(&name))?;
        let worded = (0..=12).find(|&number| words::number(number).as_deref() == Some(amount));
        let amount = worded.map(u64::from).or_else(|| amount.parse().ok())?;
        Some(amount * unit.size)
    }

    #[test]
    fn every_notation_is_exactly_as_much() {
        let mut rng = fastrand::Rng::with_seed(1);
        for system in SYSTEMS {
            let mut units = std::collections::BTreeSet::new();
            for _ in 0..500 {
                let quantity = system.draw(&mut rng);
                let text = quantity.render(&mut rng);
                assert_eq!(measured(system, &text), Some(quantity.total()), "{text}");
                units.insert(text.split_once(' ').map(|(_, unit)| unit.to_owned()));
            }
            assert!(units.len() > system.0.len());
        }
    }

    #[test]
    fn a_near_quantity_is_another_one() {
        let mut rng = fastrand::Rng::with_seed(2);
        for system in SYSTEMS {
            for _ in 0..500 {
                let quantity = system.draw(&mut rng);
                let near = quantity.near(&mut rng);
                assert_ne!(near.total(), quantity.total());
            }
        }
    }

    #[test]
    fn a_quantity_is_the_same_in_another_unit() {
        let quantity = |unit, amount| Quantity { system: DISTANCE, unit, amount };
        assert_eq!(quantity(0, 5), quantity(1, 5000));
        assert!(quantity(2, 5) > quantity(0, 5));
    }
}
