//! The rows of a table, read and written whole, whatever columns it has.

use reelhouse_api::AssetId;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, any::AnyArguments, any::AnyRow, query::Query};

use super::tables::Table;
use crate::{
    dialect::{Dialect, index_name, or_no_number},
    error::{Error, Result},
};

/// Rows of one INSERT. Each takes Postgres a round trip; of SQLite's, each value's name is looked for among all others.
fn rows_at_once(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => 4,
        Dialect::Postgres => 100,
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Flag,
    Number,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Flag(Option<bool>),
    Number(Option<f64>),
}

/// A row; its key comes first.
pub(crate) type Row = Vec<Cell>;

/// A table and its columns.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) table: &'static Table,
    columns: Vec<(String, Kind)>,
}

impl Shape {
    /// As the database says it.
    pub(crate) async fn of(table: &'static Table, connection: &mut AnyConnection) -> Result<Self> {
        let columns = Dialect::of(connection).columns_of_table();
        let found: Vec<(String, String)> =
            sqlx::query_as(columns).bind(table.name).fetch_all(connection).await?;
        let kind_of = |declared: &str| match declared.to_ascii_lowercase().as_str() {
            "text" => Some(Kind::Text),
            "bigint" | "integer" => Some(Kind::Integer),
            "boolean" => Some(Kind::Flag),
            "double precision" => Some(Kind::Number),
            _ => None,
        };
        let mut columns = Vec::with_capacity(found.len());
        for (name, declared) in found {
            let unknown = || Error::Corrupt { table: table.name, id: format!("{name} {declared}") };
            let kind = kind_of(&declared).ok_or_else(unknown)?;
            columns.push((name, kind));
        }
        let place = |name: &str| table.key.iter().position(|key| *key == name).unwrap_or(usize::MAX);
        columns.sort_by(|(one, _), (other, _)| (place(one), one).cmp(&(place(other), other)));
        Ok(Self { table, columns })
    }

    /// The next rows behind a key, in its order; from the first one on where there is none.
    pub(crate) async fn page(
        &self,
        connection: &mut AnyConnection,
        behind: &[Cell],
        rows: usize,
    ) -> Result<Vec<Row>> {
        let columns = self.columns.iter().map(|(name, kind)| match kind {
            // Of SQLite, no boolean can be read as one.
            Kind::Flag => format!("CASE WHEN \"{name}\" THEN 1 WHEN NOT \"{name}\" THEN 0 END"),
            _ => format!("\"{name}\""),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let key = quoted(self.table.key);
        let only = self.table.only.unwrap_or("TRUE");
        let behind_it = match behind.len() {
            0 => String::new(),
            len => format!(" AND ({key}) > ({})", placeholders(len)),
        };
        let sql = format!(
            "SELECT {columns} FROM {} WHERE {only}{behind_it} ORDER BY {key} LIMIT {rows}",
            self.table.name
        );
        let query = behind.iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
        let found = query.fetch_all(connection).await?;
        found.iter().map(|row| self.read(row)).collect()
    }

    fn read(&self, row: &AnyRow) -> Result<Row> {
        let cell = |(at, (_, kind)): (usize, &(String, Kind))| {
            Ok(match kind {
                Kind::Text => Cell::Text(row.try_get(at)?),
                Kind::Integer => Cell::Integer(row.try_get(at)?),
                Kind::Flag => Cell::Flag(row.try_get::<Option<i64>, _>(at)?.map(|flag| flag != 0)),
                Kind::Number => Cell::Number(row.try_get(at)?),
            })
        };
        self.columns.iter().enumerate().map(cell).collect()
    }

    /// The key of a row.
    pub(crate) fn key<'r>(&self, row: &'r Row) -> &'r [Cell] {
        &row[..self.table.key.len()]
    }

    /// The key of the last row; empty where there is none.
    pub(crate) async fn last_key(&self, connection: &mut AnyConnection) -> Result<Vec<Cell>> {
        let descending: Vec<String> = self.table.key.iter().map(|name| format!("\"{name}\" DESC")).collect();
        let only = self.table.only.unwrap_or("TRUE");
        let sql = format!(
            "SELECT {} FROM {} WHERE {only} ORDER BY {} LIMIT 1",
            quoted(self.table.key),
            self.table.name,
            descending.join(", ")
        );
        let Some(row) = sqlx::query(AssertSqlSafe(sql)).fetch_optional(connection).await? else {
            return Ok(Vec::new());
        };
        let key = Self { table: self.table, columns: self.columns[..self.table.key.len()].to_vec() };
        key.read(&row)
    }

    /// Writes rows that are not there, and what SQLite finds assets' names by.
    pub(crate) async fn insert(&self, tx: &mut AnyConnection, rows: &[Row]) -> Result<()> {
        let names = self.columns.iter().map(|(name, _)| name.as_str());
        let names = quoted(&names.collect::<Vec<_>>());
        let dialect = Dialect::of(tx);
        for rows in rows.chunks(rows_at_once(dialect)) {
            let values = (0..rows.len()).map(|row| self.values(row)).collect::<Vec<_>>().join(", ");
            let sql = format!("INSERT INTO {} ({names}) VALUES {values}", self.table.name);
            rows.iter().flatten().fold(sqlx::query(AssertSqlSafe(sql)), bind).execute(&mut *tx).await?;
            if self.table.name == "asset" && dialect == Dialect::Sqlite {
                for row in rows {
                    let id = self.text(row, "id");
                    let corrupt = || Error::Corrupt { table: "asset", id: id.to_owned() };
                    let asset = AssetId::parse(id).ok_or_else(corrupt)?;
                    index_name(tx, asset, self.text(row, "account"), self.text(row, "filename_folded"))
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// `($7, $8, NULLIF($9, -1.0))`
    fn values(&self, row: usize) -> String {
        let first = row * self.columns.len();
        let placeholder = |(at, (_, kind)): (usize, &(String, Kind))| match kind {
            Kind::Number => format!("NULLIF(${}, -1.0)", first + at + 1),
            _ => format!("${}", first + at + 1),
        };
        let all = self.columns.iter().enumerate().map(placeholder).collect::<Vec<_>>();
        format!("({})", all.join(", "))
    }

    fn text<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        let at = self.columns.iter().position(|(name, _)| name == column);
        match at.and_then(|at| row.get(at)) {
            Some(Cell::Text(Some(text))) => text,
            _ => "",
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// `$1, $2`
fn placeholders(count: usize) -> String {
    (1..=count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, cell: &Cell) -> Query<'q, Any, AnyArguments> {
    match cell {
        Cell::Text(text) => query.bind(text.clone()),
        Cell::Integer(integer) => query.bind(*integer),
        Cell::Flag(flag) => query.bind(*flag),
        Cell::Number(number) => query.bind(or_no_number(*number)),
    }
}
