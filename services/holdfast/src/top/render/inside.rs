//! One invocation, looked into.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::super::panes::{self, Pane};
use super::super::state::State;
use super::super::table::cut;
use super::super::theme::Theme;
use super::pane_in;

pub(super) fn render(frame: &mut Frame<'_>, state: &State, theme: Theme, area: Rect) {
    if let Some((content, line)) = state.reading() {
        let text =
            content.chars().filter(|character| *character == '\n' || !character.is_control()).collect::<String>();
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).scroll((line, 0)), area);
        return;
    }
    let width = usize::from(area.width);
    let mut head: Vec<_> = panes::head(state).iter().map(|line| Line::raw(cut(line, width))).collect();
    if let Some(first) = head.first_mut() {
        *first = std::mem::take(first).style(theme.accent());
    }
    let [above, below] = Layout::vertical([Constraint::Length(head.len() as u16), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(Text::from(head)), above);
    pane_in(frame, state, theme, below, Pane::Timeline, true);
}
