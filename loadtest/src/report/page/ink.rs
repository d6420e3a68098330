//! The colours of the pictures: each has one for light and one for dark surroundings.

use std::fmt::Write;

use plotters::style::RGBColor;

/// A colour by what it is for. The light one is in the SVG, so that a picture also stands alone; a page in dark
/// surroundings replaces it by the style sheet of [`Ink::dark_css`], which finds it by its value. So no two may be
/// equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Text,
    Axis,
    Grid,
    /// A line across the picture: the opening.
    Mark,
    Blue,
    Orange,
    Green,
    Purple,
    Red,
    Teal,
    Gold,
    Pink,
    Grey,
}

impl Ink {
    const ALL: [Ink; 13] = [
        Ink::Text,
        Ink::Axis,
        Ink::Grid,
        Ink::Mark,
        Ink::Blue,
        Ink::Orange,
        Ink::Green,
        Ink::Purple,
        Ink::Red,
        Ink::Teal,
        Ink::Gold,
        Ink::Pink,
        Ink::Grey,
    ];

    /// For lines that are told apart by nothing else, in this order.
    pub(crate) const SERIES: [Ink; 8] =
        [Ink::Blue, Ink::Orange, Ink::Green, Ink::Purple, Ink::Red, Ink::Teal, Ink::Gold, Ink::Pink];

    /// On white, with a contrast of 4.5 or more for all that is read or followed.
    fn light(self) -> u32 {
        match self {
            Ink::Text => 0x1F2933,
            Ink::Axis => 0x7B8794,
            Ink::Grid => 0xE1E5EA,
            Ink::Mark => 0x52606D,
            Ink::Blue => 0x1F6FEB,
            Ink::Orange => 0xC2570C,
            Ink::Green => 0x1A7F37,
            Ink::Purple => 0x8250DF,
            Ink::Red => 0xCF222E,
            Ink::Teal => 0x0E7C86,
            Ink::Gold => 0x8A6100,
            Ink::Pink => 0xBF3989,
            Ink::Grey => 0x6E7781,
        }
    }

    fn dark(self) -> u32 {
        match self {
            Ink::Text => 0xE4E7EB,
            Ink::Axis => 0x7D8894,
            Ink::Grid => 0x2B333D,
            Ink::Mark => 0xA9B4C0,
            Ink::Blue => 0x6CA8FF,
            Ink::Orange => 0xFF9D4D,
            Ink::Green => 0x4AC26B,
            Ink::Purple => 0xBE9AFF,
            Ink::Red => 0xFF7B72,
            Ink::Teal => 0x39C5CF,
            Ink::Gold => 0xE3B341,
            Ink::Pink => 0xF778BA,
            Ink::Grey => 0x959EA8,
        }
    }

    pub(crate) fn colour(self) -> RGBColor {
        let [_, red, green, blue] = self.light().to_be_bytes();
        RGBColor(red, green, blue)
    }

    /// Rules that turn the light colours of a picture into the dark ones.
    pub(crate) fn dark_css() -> String {
        let mut css = String::new();
        for ink in Ink::ALL {
            let (light, dark) = (ink.light(), ink.dark());
            for attribute in ["fill", "stroke"] {
                let _ = writeln!(css, "svg [{attribute}=\"#{light:06X}\"] {{ {attribute}: #{dark:06x}; }}");
            }
        }
        css
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_colour_is_found_by_its_value() {
        let values: BTreeSet<u32> = Ink::ALL.into_iter().map(Ink::light).collect();
        assert_eq!(values.len(), Ink::ALL.len());
        assert!(Ink::dark_css().contains("svg [stroke=\"#1F6FEB\"] { stroke: #6ca8ff; }"));
    }
}
