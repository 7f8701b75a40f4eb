//! Colours. Each can be read on black and on white; without colour, words and weight say the same.

use ratatui::style::{Color, Modifier, Style};

use super::table::Tone;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) colours: bool,
}

// Of the 256 colours those whose luminance is in the middle: a terminal's own sixteen may be anything.
const GOOD: u8 = 28;
const WARN: u8 = 166;
const BAD: u8 = 160;
const FAINT: u8 = 244;
const ACCENT: u8 = 31;

impl Theme {
    /// As <https://no-color.org> has it: any value that is not empty takes the colours away.
    pub(crate) fn from_environment() -> Self {
        Self { colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    pub(crate) fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Good => self.coloured(GOOD),
            Tone::Warn => self.coloured(WARN).add_modifier(Modifier::BOLD),
            Tone::Bad => self.coloured(BAD).add_modifier(Modifier::BOLD),
            Tone::Faint if self.colours => self.coloured(FAINT),
            Tone::Faint => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Titles, and what is chosen.
    pub(crate) fn accent(self) -> Style {
        self.coloured(ACCENT).add_modifier(Modifier::BOLD)
    }

    /// What the keys go to.
    pub(crate) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn coloured(self, index: u8) -> Style {
        if self.colours { Style::new().fg(Color::Indexed(index)) } else { Style::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of one of the 256 colours, as WCAG has it.
    fn luminance(index: u8) -> f64 {
        let channels = match index {
            232.. => [8 + (index - 232) * 10; 3],
            _ => [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6]
                .map(|n| [0, 95, 135, 175, 215, 255][n as usize]),
        };
        let linear = channels.map(|channel| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for index in [GOOD, WARN, BAD, FAINT, ACCENT] {
            let (on_white, on_black) = (1.05 / (luminance(index) + 0.05), (luminance(index) + 0.05) / 0.05);
            assert!(on_white >= 3.5 && on_black >= 3.5, "{index}: {on_white:.1} on white, {on_black:.1} on black");
        }
    }

    #[test]
    fn without_colours_there_is_none() {
        let theme = Theme { colours: false };
        for tone in [Tone::Plain, Tone::Good, Tone::Warn, Tone::Bad, Tone::Faint] {
            assert_eq!((theme.tone(tone).fg, theme.tone(tone).bg), (None, None));
        }
        assert_eq!((theme.accent().fg, theme.chosen().fg), (None, None));
    }
}
