//! A table as lines.

use ratatui::text::{Line, Span};

use super::super::table::{Column, GAP, Row, Table, Tone, cut};
use super::super::theme::Theme;

/// How a table is shown.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Shown {
    pub(in super::super) width: usize,
    /// Lines, title and names included; nothing means as many as there are.
    pub(in super::super) height: Option<usize>,
    pub(in super::super) chosen: Option<usize>,
    pub(in super::super) theme: Theme,
}

/// Title, column names and rows; the column of the order is marked.
pub(in super::super) fn lines(table: &Table, order: (usize, bool), shown: Shown) -> Vec<Line<'static>> {
    let columns = table.fit(shown.width);
    let mut lines = vec![title(table, shown), names(table, &columns, order, shown.theme)];
    if table.rows.is_empty() {
        lines.push(Line::styled(cut(table.empty, shown.width), shown.theme.tone(Tone::Faint)));
    }
    let room = shown.height.map_or(usize::MAX, |height| height.saturating_sub(2));
    let (first, last, rest) = part(table.rows.len(), room, shown.chosen);
    for (index, row) in table.rows.iter().enumerate().take(last).skip(first) {
        let line = one(row, &table.columns, &columns, shown.theme);
        lines.push(if shown.chosen == Some(index) { line.style(shown.theme.chosen()) } else { line });
    }
    if rest > 0 {
        lines.push(Line::styled(format!("… {rest} more"), shown.theme.tone(Tone::Faint)));
    }
    lines
}

/// Which rows are shown: the chosen one among them. Where that is not all, a line says how many are not.
fn part(rows: usize, room: usize, chosen: Option<usize>) -> (usize, usize, usize) {
    if rows <= room {
        return (0, rows, 0);
    }
    let room = room.saturating_sub(1);
    let first = chosen.unwrap_or(0).saturating_sub(room / 2).min(rows - room);
    (first, first + room, rows - room)
}

fn title(table: &Table, shown: Shown) -> Line<'static> {
    let mut spans = vec![Span::styled(table.title, shown.theme.accent()), Span::raw(" ")];
    let mut left = shown.width.saturating_sub(table.title.chars().count() + 1);
    if let Some((note, tone)) = &table.note {
        let note = cut(note, left.saturating_sub(1));
        left = left.saturating_sub(note.chars().count() + 1);
        spans.extend([Span::styled(note, shown.theme.tone(*tone)), Span::raw(" ")]);
    }
    spans.push(Span::styled("─".repeat(left), shown.theme.tone(Tone::Faint)));
    Line::from(spans)
}

fn names(table: &Table, columns: &[(usize, usize)], (sort, reversed): (usize, bool), theme: Theme) -> Line<'static> {
    let name = |&(index, width): &(usize, usize)| {
        let column = &table.columns[index];
        let mark = match index == sort {
            true if column.descends != reversed => "▼",
            true => "▲",
            false => "",
        };
        placed(&format!("{}{mark}", column.name), column, width)
    };
    Line::styled(columns.iter().map(name).collect::<Vec<_>>().join(&" ".repeat(GAP)), theme.tone(Tone::Faint))
}

fn one(row: &Row, all: &[Column], columns: &[(usize, usize)], theme: Theme) -> Line<'static> {
    let mut spans = Vec::with_capacity(columns.len() * 2);
    for (place, &(index, width)) in columns.iter().enumerate() {
        if place > 0 {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        let cell = &row.cells[index];
        spans.push(Span::styled(placed(&cell.text, &all[index], width), theme.tone(cell.tone)));
    }
    Line::from(spans)
}

/// A text in its column's width.
fn placed(text: &str, column: &Column, width: usize) -> String {
    let text = cut(text, width);
    if column.right { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn the_chosen_row_is_always_among_those_shown() {
        assert_eq!(part(5, 5, Some(4)), (0, 5, 0));
        for chosen in 0..50 {
            let (first, last, rest) = part(50, 10, Some(chosen));
            assert!((first..last).contains(&chosen) && last - first + rest == 50 && last <= 50, "{chosen}");
        }
    }
}
