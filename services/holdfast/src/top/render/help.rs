//! The keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::theme::Theme;

const HELP: &str = "\
1 to 8, Tab, Shift-Tab  views
Up Down, j k            choose a row
PgUp PgDn, g G          further, first, last
s                       order by the next column
r                       turn the order round
Enter                   look into an invocation, read a step,
                        or list an agent type's invocations
f                       only invocations of one state
Esc                     back, one step at a time
?                       this
q, Ctrl-C               quit

Rates and latencies are those of the last 10 s.
Depths and invocations are those of the key's tenant.";

pub(super) fn render(frame: &mut Frame<'_>, theme: Theme, area: Rect) {
    let (width, height) = (62.min(area.width), (HELP.lines().count() as u16 + 2).min(area.height));
    let x = area.x + (area.width - width) / 2;
    let part = Rect { x, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, part);
    let block = Block::bordered().title(" Keys ").border_style(theme.accent());
    frame.render_widget(Paragraph::new(HELP).block(block), part);
}
