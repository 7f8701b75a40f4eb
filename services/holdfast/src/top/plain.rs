//! One snapshot as text: every pane with all of its rows, one below the other.

use super::panes::{self, Pane};
use super::render::{Shown, lines};
use super::state::State;
use super::theme::Theme;

/// Wide enough for every column.
const WIDTH: usize = 132;

pub(crate) fn text(state: &State) -> String {
    let mut text = format!("{}\n", state.address);
    let shown = Shown { width: WIDTH, height: None, chosen: None, theme: Theme { colours: false } };
    for pane in Pane::ALL.into_iter().filter(|pane| *pane != Pane::Timeline) {
        let list = state.list(pane);
        for line in lines(&pane.table(state), (list.sort, list.reversed), shown) {
            text.push_str(line.to_string().trim_end());
            text.push('\n');
        }
        text.push('\n');
    }
    for trouble in panes::troubles(state) {
        text.push_str(&format!("! {trouble}\n"));
    }
    text.trim_end().to_owned()
}
