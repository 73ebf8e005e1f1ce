use super::text::{fit, width};

/// Between columns.
const GAP: usize = 2;
/// A last column narrower than this tells too little: first, columns that may be left out are.
const LAST_COLUMN: usize = 20;

/// A column of a table.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Numbers stand to the right.
    pub(crate) right: bool,
    /// Whether it gives way where the terminal is narrow.
    pub(crate) optional: bool,
}

/// The lines of a table, in so many columns of a terminal, or as wide as it is. The last column takes what is left.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<String>], terminal: Option<usize>) -> Vec<String> {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(n, column)| rows.iter().map(|row| width(&row[n])).fold(width(column.title), usize::max))
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let Some((&last, _)) = shown.split_last() else { return Vec::new() };
    let before =
        |shown: &[usize]| shown.iter().filter(|n| **n != last).map(|n| widths[*n] + GAP).sum::<usize>();
    if let Some(terminal) = terminal {
        let needed = widths[last].min(LAST_COLUMN);
        while before(&shown) + needed > terminal {
            let Some(least) = shown.iter().rposition(|n| columns[*n].optional) else { break };
            shown.remove(least);
        }
    }
    let left = terminal.map_or(widths[last], |terminal| terminal.saturating_sub(before(&shown)).max(1));
    let line = |cells: &dyn Fn(usize) -> String| {
        let mut line = String::new();
        for &n in &shown {
            let cell = cells(n);
            let columns_wide = if n == last { widths[n].min(left) } else { widths[n] };
            if columns[n].right {
                line.push_str(&" ".repeat(columns_wide.saturating_sub(width(&cell))));
                line.push_str(&cell);
            } else {
                line.push_str(&fit(&cell, columns_wide));
            }
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    };
    std::iter::once(line(&|n| columns[n].title.to_owned()))
        .chain(rows.iter().map(|row| line(&|n| row[n].clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(terminal: Option<usize>) -> Vec<String> {
        let column = |title, right, optional| Column { title, right, optional };
        let columns = [
            column("ID", false, false),
            column("SIZE", true, false),
            column("TYPE", false, true),
            column("NAME", false, false),
        ];
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        lines(
            &columns,
            &[row(["a1", "7 B", "video/mp4", "a-long-name-of-a-film.mp4"]), row(["a2", "12 MiB", "", "b"])],
            terminal,
        )
    }

    #[test]
    fn wide_enough_shows_all() {
        let all = [
            "ID    SIZE  TYPE       NAME",
            "a1     7 B  video/mp4  a-long-name-of-a-film.mp4",
            "a2  12 MiB             b",
        ];
        assert_eq!(table(None), all);
        assert_eq!(table(Some(60)), all);
    }

    #[test]
    fn narrow_leaves_out_columns_and_shortens_the_last() {
        assert_eq!(
            table(Some(32)),
            ["ID    SIZE  NAME", "a1     7 B  a-long-nam…-film.mp4", "a2  12 MiB  b"]
        );
        assert!(table(Some(16)).iter().all(|line| width(line) <= 16));
    }
}
