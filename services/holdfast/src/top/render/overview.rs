//! Everything at once, in two columns.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::super::panes::Pane;
use super::super::state::State;
use super::super::theme::Theme;
use super::pane_in;

const LEFT: [Pane; 3] = [Pane::Services, Pane::Records, Pane::Tokens];
const RIGHT: [Pane; 3] = [Pane::Agents, Pane::Circuits, Pane::Keys];
/// Title, names of columns, and a row.
const LEAST: usize = 3;
/// Narrower windows have one column.
const TWO_COLUMNS_MIN: u16 = 72;

pub(super) fn render(frame: &mut Frame<'_>, state: &State, theme: Theme, area: Rect) {
    if area.width < TWO_COLUMNS_MIN {
        // What goes wrong first stands first.
        return column(frame, state, theme, area, &[Pane::Agents, Pane::Circuits, Pane::Services, Pane::Keys]);
    }
    let halves = [Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)];
    let [left, _, right] = Layout::horizontal(halves).areas(area);
    column(frame, state, theme, left, &LEFT);
    column(frame, state, theme, right, &RIGHT);
}

fn column(frame: &mut Frame<'_>, state: &State, theme: Theme, area: Rect, panes: &[Pane]) {
    let wants: Vec<_> = panes.iter().map(|pane| pane.table(state).rows.len().max(1) + 2).collect();
    let mut top = area.y;
    for (pane, height) in panes.iter().zip(share(area.height.into(), &wants)) {
        let part = Rect { y: top, height: height as u16, ..area };
        pane_in(frame, state, theme, part, *pane, false);
        top += height as u16;
    }
}

/// Each gets what it wants while there is enough; else the least, and then one line after the other in turn.
fn share(height: usize, wants: &[usize]) -> Vec<usize> {
    let mut given: Vec<usize> = vec![0; wants.len()];
    let mut left = height;
    for (given, want) in given.iter_mut().zip(wants) {
        *given = LEAST.min(*want).min(left);
        left -= *given;
    }
    while left > 0 {
        let mut lacking = given.iter_mut().zip(wants).filter(|(given, want)| **given < **want).peekable();
        if lacking.peek().is_none() {
            // A blank line between panes, as long as there are any.
            let panes = given.len().max(1);
            given.iter_mut().for_each(|given| *given += usize::from(left >= panes));
            break;
        }
        for (given, _) in lacking.take(left) {
            *given += 1;
            left -= 1;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn room_is_shared_and_none_is_given_twice() {
        assert_eq!(share(21, &[10, 6, 20]), [8, 6, 7]);
        assert_eq!(share(30, &[4, 4, 4]), [5, 5, 5]);
        assert_eq!(share(7, &[9, 9, 9]), [3, 3, 1]);
        for height in 0..60 {
            assert!(share(height, &[9, 4, 30]).iter().sum::<usize>() <= height);
        }
    }
}
