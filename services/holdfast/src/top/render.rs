//! Draws the view. What is drawn follows from the state alone.

mod help;
mod inside;
mod overview;
mod tables;

use holdfast_rpc::time;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::panes::{self, Pane};
use super::state::{State, View};
use super::table::{Tone, cut};
use super::theme::Theme;
use super::write;
use crate::output;

pub(super) use tables::{Shown, lines};

/// Draws everything.
pub(super) fn render(frame: &mut Frame<'_>, state: &State, theme: Theme) {
    let notice = notice(state);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::from(notice.is_some())),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [head, tabs, noticed, body, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(head_line(state, theme, head.width), head);
    frame.render_widget(tabs_line(state, theme), tabs);
    if let Some(notice) = notice {
        let text = cut(&format!("! {notice}"), noticed.width.into());
        frame.render_widget(Line::styled(text, theme.tone(Tone::Bad)), noticed);
    }
    match (&state.inside, state.view) {
        (Some(_), _) => inside::render(frame, state, theme, body),
        (None, View::All) => overview::render(frame, state, theme, body),
        (None, view) => one(frame, state, theme, body, view),
    }
    frame.render_widget(foot_line(state, theme), foot);
    if state.help {
        help::render(frame, theme, body);
    }
}

/// One view's table, and what belongs below it.
fn one(frame: &mut Frame<'_>, state: &State, theme: Theme, area: Rect, view: View) {
    let Some(pane) = view.pane() else { return };
    match view {
        View::Services => {
            let troubles = panes::troubles(state);
            let wanted = if troubles.is_empty() { 0 } else { troubles.len() as u16 + 1 };
            let below = Constraint::Length(wanted.min(area.height / 2));
            let [above, below] = Layout::vertical([Constraint::Min(0), below]).areas(area);
            pane_in(frame, state, theme, above, pane, true);
            let title = Line::styled("What could not be had", theme.accent());
            let lines = troubles.into_iter().map(|trouble| Line::styled(trouble, theme.tone(Tone::Bad)));
            let text = Text::from_iter(std::iter::once(title).chain(lines));
            frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), below);
        }
        View::Models => {
            let lines = Pane::Lines.table(state).rows.len() as u16 + 3;
            let below = Constraint::Length(lines.min(area.height / 2));
            let [above, below] = Layout::vertical([Constraint::Min(0), below]).areas(area);
            pane_in(frame, state, theme, above, pane, true);
            pane_in(frame, state, theme, below, Pane::Lines, false);
        }
        _ => pane_in(frame, state, theme, area, pane, true),
    }
}

/// A pane's table in an area.
fn pane_in(frame: &mut Frame<'_>, state: &State, theme: Theme, area: Rect, pane: Pane, chooses: bool) {
    let chosen = if chooses { state.chosen(pane).map(|(index, _)| index) } else { None };
    let shown = Shown { width: area.width.into(), height: Some(area.height.into()), chosen, theme };
    let list = state.list(pane);
    let text = lines(&pane.table(state), (list.sort, list.reversed), shown);
    frame.render_widget(Paragraph::new(Text::from(text)), area);
}

fn head_line(state: &State, theme: Theme, width: u16) -> Line<'static> {
    let clock = output::timestamp(&time::timestamp(state.wall));
    let clock = clock.get(11..19).map(|time| format!("{time} UTC")).unwrap_or_default();
    let title = "holdfast top  ";
    let room = usize::from(width).saturating_sub(title.len() + clock.len() + 1);
    Line::from(vec![
        Span::styled(title, theme.accent()),
        Span::raw(format!("{:<room$} ", cut(&state.address, room))),
        Span::styled(clock, theme.tone(Tone::Faint)),
    ])
}

fn tabs_line(state: &State, theme: Theme) -> Line<'static> {
    let tab = |(index, view): (usize, &View)| {
        let style = if *view == state.view { theme.chosen() } else { theme.tone(Tone::Plain) };
        [Span::styled(format!("{} {}", index + 1, view.name()), style), Span::raw(" ")]
    };
    Line::from_iter(View::ALL.iter().enumerate().flat_map(tab))
}

/// The worst that there is to say, on one line.
fn notice(state: &State) -> Option<String> {
    if state.gateway_is_lost() {
        let gateway = state.known.of("gateway").next()?;
        let age = write::age(gateway.health.for_how_long(state.now));
        let why = gateway.health.trouble().map(|trouble| trouble.why.clone()).unwrap_or_default();
        return Some(format!("the mesh is lost: no gateway for {age} ({why}); asking again, what stands here is old"));
    }
    let troubles = panes::troubles(state);
    let first = troubles.first()?;
    Some(match troubles.len() {
        1 => first.clone(),
        more => format!("{} more under 2; {first}", more - 1),
    })
}

fn foot_line(state: &State, theme: Theme) -> Line<'static> {
    let keys = match (&state.inside, state.view) {
        (Some(inside), _) if inside.reading.is_some() => "q quit  Esc back  Up Down scroll",
        (Some(_), _) => "q quit  ? help  Esc back  Up Down choose  Enter read all of it",
        (None, View::All) => "q quit  ? help  Tab or 1-8 views",
        (None, View::Invocations) => "q quit  ? help  Tab views  Up Down choose  Enter look into  f filter  s sort",
        (None, View::Agents) => "q quit  ? help  Tab views  Up Down choose  Enter its invocations  s sort  r turn",
        (None, _) => "q quit  ? help  Tab views  Up Down choose  s sort  r turn",
    };
    Line::styled(keys, theme.tone(Tone::Faint))
}

#[cfg(test)]
mod tests;
