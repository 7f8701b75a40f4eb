//! The terminal: drawn to, read from, and given back as it was, however this ends.

use std::io::{self, IsTerminal as _};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use ratatui::DefaultTerminal;

use super::event::Key;
use super::render::render;
use super::state::State;
use super::theme::Theme;
use crate::exit::Failure;

/// A terminal in raw mode, on its other screen.
pub(crate) struct Terminal {
    screen: DefaultTerminal,
    keys: EventStream,
    theme: Theme,
}

/// What came from the terminal.
pub(crate) enum Typed {
    Key(Key),
    /// To be drawn again: its size has changed.
    Resized,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is none, or it is one that cannot be drawn to.
    pub(crate) fn open() -> Result<Self, Failure> {
        let instead = "use --once, or --json for one document";
        if !io::stdout().is_terminal() {
            return Err(Failure::Usage(format!("top draws on a terminal, and standard output is none: {instead}")));
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(Failure::Usage(format!("top cannot draw on a dumb terminal (TERM): {instead}")));
        }
        let screen = ratatui::try_init();
        let screen =
            screen.map_err(|error| Failure::Machine(format!("the terminal cannot be used: {error}; {instead}")))?;
        Ok(Self { screen, keys: EventStream::new(), theme: Theme::from_environment() })
    }

    pub(crate) fn draw(&mut self, state: &State) -> Result<(), Failure> {
        let drawn = self.screen.draw(|frame| render(frame, state, self.theme));
        drawn.map(drop).map_err(|error| Failure::Machine(format!("the terminal cannot be drawn to: {error}")))
    }

    /// The next key that means something. Nothing once the terminal is gone.
    pub(crate) async fn typed(&mut self) -> Option<Typed> {
        loop {
            match self.keys.next().await?.ok()? {
                Event::Key(key) => {
                    if let Some(key) = meaning(key) {
                        return Some(Typed::Key(key));
                    }
                }
                Event::Resize(..) => return Some(Typed::Resized),
                _ => {}
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Char('?') => Key::Help,
        KeyCode::Char(digit @ '1'..='9') => Key::View(usize::from(digit as u8 - b'1')),
        KeyCode::Tab | KeyCode::Right => Key::NextView,
        KeyCode::BackTab | KeyCode::Left => Key::PreviousView,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Key::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Key::First,
        KeyCode::End | KeyCode::Char('G') => Key::Last,
        KeyCode::Enter => Key::Into,
        KeyCode::Esc | KeyCode::Backspace => Key::Back,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('r') => Key::Reverse,
        KeyCode::Char('f') => Key::Filter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('8'), KeyModifiers::NONE), Some(Key::View(7)));
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Key::Last));
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Key::PreviousView));
    }
}
