//! Tables for people.

use std::io::Write;

/// A table whose columns are as wide as what is in them, up to a bound.
pub struct Table {
    rows: Vec<Vec<String>>,
}

const WIDTH_MAX: usize = 60;

impl Table {
    pub fn new<const N: usize>(head: [&str; N]) -> Table {
        Table { rows: vec![head.map(str::to_owned).to_vec()] }
    }

    pub fn row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.to_vec());
    }

    /// # Errors
    /// When it can't be written.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0).min(WIDTH_MAX)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let padding = width.saturating_sub(cell.chars().count());
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', padding + 2));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A text of an answer; `-` where there is none.
pub fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The day of an instant; `-` where there is none.
pub fn day(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), |text| text.get(..10).unwrap_or(text).to_owned())
}

/// What is in a list; nothing where there is none.
pub fn list<'v>(value: &'v serde_json::Value, field: &str) -> &'v [serde_json::Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}
