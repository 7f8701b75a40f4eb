//! A table before it is drawn: columns that give way where there is little room, rows that can be put in order.

use std::cmp::Ordering;

/// What a text means; how that looks is the theme's affair. Nothing is told by it alone: the words say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Faint,
}

/// By what a cell is put in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rank {
    Text(String),
    Number(f64),
    /// After everything else.
    Last,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) rank: Rank,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What stays the same of it as figures change.
    pub(crate) id: String,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// At the right edge: figures.
    pub(crate) right: bool,
    /// Takes what room is left, and has at least so much; 0 for one that does not.
    pub(crate) fills: usize,
    /// Gives way before those with less; 0 never does.
    pub(crate) gives_way: u8,
    /// The larger come first, unless that is turned round.
    pub(crate) descends: bool,
}

/// Rows under columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// Beside the title: what it is of, or why it may be old.
    pub(crate) note: Option<(String, Tone)>,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// What stands in place of rows.
    pub(crate) empty: &'static str,
}

/// Room between two columns.
pub(crate) const GAP: usize = 1;
/// No cell makes its column wider, except that which fills.
const WIDTH_MAX: usize = 36;

pub(crate) const fn text(name: &'static str, gives_way: u8) -> Column {
    Column { name, right: false, fills: 0, gives_way, descends: false }
}

pub(crate) const fn figure(name: &'static str, gives_way: u8) -> Column {
    Column { name, right: true, fills: 0, gives_way, descends: true }
}

/// A figure of which the smallest matter.
pub(crate) const fn scarcest(name: &'static str, gives_way: u8) -> Column {
    Column { name, right: true, fills: 0, gives_way, descends: false }
}

pub(crate) const fn filling(name: &'static str, least: usize, gives_way: u8) -> Column {
    Column { name, right: false, fills: least, gives_way, descends: false }
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        let rank = if text.is_empty() { Rank::Last } else { Rank::Text(text.to_lowercase()) };
        Self { rank, text, tone: Tone::Plain }
    }

    /// A figure as it is written; nothing is a dash.
    pub(crate) fn figure(value: Option<f64>, written: impl FnOnce(f64) -> String) -> Self {
        match value {
            Some(value) => Self { text: written(value), tone: Tone::Plain, rank: Rank::Number(value) },
            None => Self { text: "-".into(), tone: Tone::Faint, rank: Rank::Last },
        }
    }

    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    pub(crate) fn rank(self, number: f64) -> Self {
        Self { rank: Rank::Number(number), ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    /// Puts the rows in order by a column; those that are alike keep theirs.
    pub(crate) fn sort(&mut self, column: usize, reversed: bool) {
        let Some(by) = self.columns.get(column).copied() else { return };
        let descends = by.descends != reversed;
        self.rows.sort_by(|left, right| match (left.cells.get(column), right.cells.get(column)) {
            (Some(left), Some(right)) => compare(&left.rank, &right.rank, descends),
            _ => Ordering::Equal,
        });
    }

    /// The columns that have room in a width, each with its own.
    pub(crate) fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        let mut columns: Vec<_> = (0..self.columns.len()).map(|index| (index, self.natural(index))).collect();
        let least = |&(index, natural): &(usize, usize)| match self.columns[index].fills {
            0 => natural,
            least => natural.min(least),
        };
        let total = |columns: &[(usize, usize)], of: &dyn Fn(&(usize, usize)) -> usize| {
            columns.iter().map(of).sum::<usize>() + GAP * columns.len().saturating_sub(1)
        };
        while total(&columns, &least) > width {
            let given = |(index, _): &(usize, usize)| self.columns[*index].gives_way;
            match columns.iter().enumerate().filter(|(_, column)| given(column) > 0).max_by_key(|(_, c)| given(c)) {
                Some((at, _)) => drop(columns.remove(at)),
                None => break,
            }
        }
        let others = columns.iter().filter(|(index, _)| self.columns[*index].fills == 0).map(|(_, natural)| *natural);
        let taken = others.sum::<usize>() + GAP * columns.len().saturating_sub(1);
        for (index, natural) in &mut columns {
            if self.columns[*index].fills > 0 {
                *natural = width.saturating_sub(taken);
            }
        }
        columns
    }

    /// The widest of a column.
    fn natural(&self, column: usize) -> usize {
        let fills = self.columns[column].fills > 0;
        let widest = self.rows.iter().filter_map(|row| row.cells.get(column)).map(Cell::width).max().unwrap_or(0);
        let widest = if fills { widest } else { widest.min(WIDTH_MAX) };
        widest.max(self.columns[column].name.chars().count() + 1)
    }
}

fn compare(left: &Rank, right: &Rank, descends: bool) -> Ordering {
    let order = match (left, right) {
        (Rank::Last, Rank::Last) => return Ordering::Equal,
        // What is not known is never first, whichever way.
        (Rank::Last, _) => return Ordering::Greater,
        (_, Rank::Last) => return Ordering::Less,
        (Rank::Number(left), Rank::Number(right)) => left.total_cmp(right),
        (Rank::Text(left), Rank::Text(right)) => left.cmp(right),
        (Rank::Number(_), Rank::Text(_)) => Ordering::Less,
        (Rank::Text(_), Rank::Number(_)) => Ordering::Greater,
    };
    if descends { order.reverse() } else { order }
}

/// A text in a width: the beginning where it is too long, with a sign of that.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let one_line = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    if text.chars().count() <= width {
        return one_line.collect();
    }
    one_line.take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |name: &str, value: Option<f64>, note: &str| Row {
            id: name.into(),
            cells: vec![Cell::text(name), Cell::figure(value, |value| format!("{value}")), Cell::text(note)],
        };
        Table {
            columns: vec![filling("name", 12, 0), figure("value", 0), text("note", 1)],
            rows: vec![row("b", Some(2.0), "x"), row("a", None, "y"), row("c", Some(10.0), "z".repeat(20).as_str())],
            ..Table::default()
        }
    }

    fn order(column: usize, reversed: bool) -> Vec<String> {
        let mut table = table();
        table.sort(column, reversed);
        table.rows.into_iter().map(|row| row.id).collect()
    }

    #[test]
    fn figures_begin_with_the_largest_and_what_is_not_known_is_last_either_way() {
        assert_eq!(order(0, false), ["a", "b", "c"]);
        assert_eq!(order(1, false), ["c", "b", "a"]);
        assert_eq!(order(1, true), ["b", "c", "a"]);
    }

    #[test]
    fn where_there_is_little_room_the_least_important_column_gives_way() {
        assert_eq!(table().fit(60), [(0, 60 - 20 - 6 - 2), (1, 6), (2, 20)]);
        assert_eq!(table().fit(24), [(0, 17), (1, 6)]);
    }

    #[test]
    fn a_text_that_is_too_long_says_so_and_none_breaks_the_line() {
        assert_eq!((cut("abcdef", 4), cut("a\u{1b}[2J\nb", 10)), ("abc…".into(), "a [2J b".into()));
    }
}
